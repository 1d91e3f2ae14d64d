//! No circle of imports leads from one folder to another and back: what stands in a folder can be read without what uses it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};

use super::{
    crates::Crate,
    modules::{Module, imports},
};

/// Checks one crate.
pub(super) fn check(one: &Crate) -> Result<()> {
    let imports = imports(&one.src)?;
    match circle(&imports) {
        Some(circle) => {
            let names: Vec<String> = circle.iter().map(|module| module.join("::")).collect();
            bail!("{}: a circle of imports between folders: {}", one.name, names.join(" → "))
        }
        None => Ok(()),
    }
}

/// The shortest way from a module over another folder back to it.
fn circle(imports: &BTreeMap<Module, BTreeSet<Module>>) -> Option<Vec<Module>> {
    let folder = |module: &Module| -> Module {
        let has_own = imports.keys().any(|other| other.len() > module.len() && other.starts_with(module));
        if has_own { module.clone() } else { module[..module.len() - 1].to_vec() }
    };
    let mut circles = Vec::new();
    for (start, targets) in imports {
        for next in targets.iter().filter(|next| folder(next) != folder(start)) {
            let mut ways = vec![vec![start.clone(), next.clone()]];
            let mut seen = BTreeSet::from([next.clone()]);
            while let Some(way) = (!ways.is_empty()).then(|| ways.remove(0)) {
                let at = way.last().unwrap_or(start);
                if at == start {
                    circles.push(way);
                    break;
                }
                for to in imports.get(at).into_iter().flatten().filter(|to| *to == start || seen.insert((*to).clone()))
                {
                    ways.push(way.iter().cloned().chain([to.clone()]).collect());
                }
            }
        }
    }
    circles.into_iter().min_by_key(Vec::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &str)]) -> BTreeMap<Module, BTreeSet<Module>> {
        let module = |path: &str| -> Module { path.split("::").map(str::to_owned).collect() };
        let mut graph: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
        for (from, to) in edges {
            graph.entry(module(from)).or_default().insert(module(to));
            graph.entry(module(to)).or_default();
        }
        graph
    }

    #[test]
    fn a_circle_counts_where_it_leaves_a_folder() {
        // A folder's own door may import what stands in it, and be imported by it.
        assert_eq!(circle(&graph(&[("ssh", "ssh::pace"), ("ssh::pace", "ssh")])), None);
        assert_eq!(circle(&graph(&[("a", "b"), ("b", "a")])), None);
        let found = circle(&graph(&[("plan", "act::start"), ("act::start", "run"), ("run", "plan")])).unwrap();
        assert_eq!(found.len(), 4);
        assert_eq!(found.first(), found.last());
    }
}
