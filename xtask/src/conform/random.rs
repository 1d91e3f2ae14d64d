//! Stacks by chance: a few services, each with a few of the elements that an engine acts on, and a second version in which
//! some of them have changed. One that differs is made smaller as long as it does.

use serde_json::{Map, Value, json};

use super::{Case, Start, images::Images};
use crate::crash::chance::Chance;

/// What a service may have: a name, and what it adds to its definition in the first and in the second version.
type Element = (&'static str, fn(&str, bool) -> Value);

const ELEMENTS: [Element; 22] = [
    ("named volume", |name, _| json!({"volumes": [format!("{name}-rows:/named")]})),
    ("shared volume", |_, _| json!({"volumes": ["shared:/shared"]})),
    ("shared volume, read-only", |_, _| json!({"volumes": ["shared:/shared:ro"]})),
    ("volume without a name", |_, _| json!({"volumes": ["/unnamed"]})),
    ("folder", |name, _| json!({"volumes": [format!("./data/{name}:/folder")]})),
    ("inline config", |_, _| json!({"configs": [{"source": "text", "target": "/conform/text"}]})),
    ("secret", |_, _| json!({"secrets": ["word"]})),
    ("fixed name", |name, _| json!({"container_name": format!("${{COMPOSE_PROJECT_NAME}}{name}")})),
    (
        "second network",
        |name, _| json!({"networks": {"default": {}, "second": {"aliases": [format!("{name}-alias")]}}}),
    ),
    ("address", |name, _| {
        let host = 10 + name.bytes().map(u32::from).sum::<u32>() % 100;
        json!({"networks": {"fixed": {"ipv4_address": format!("${{NET}}.{host}")}}})
    }),
    ("two of it", |_, _| json!({"scale": 2})),
    ("more of it", |_, second| json!({"scale": if second { 3 } else { 1 }})),
    ("fewer of it", |_, second| json!({"scale": if second { 1 } else { 2 }})),
    ("environment", |_, second| json!({"environment": {"A": "1", "B": if second { "2" } else { "1" }}})),
    ("label", |_, second| json!({"labels": {"l": if second { "2" } else { "1" }}})),
    ("memory", |_, _| json!({"mem_limit": "64m"})),
    ("memory file system", |_, _| json!({"tmpfs": ["/memory"]})),
    ("restarted always", |_, _| json!({"restart": "always"})),
    ("checked", |_, _| json!({"healthcheck": {"test": ["CMD", "true"], "interval": "1s"}})),
    ("job", |_, _| json!({"command": ["sleep", "1"], "restart": "no"})),
    ("port", |name, _| json!({"ports": [format!("${{PORT{}}}:80", name.bytes().map(u32::from).sum::<u32>() % 4)]})),
    ("user", |_, _| json!({"user": "0:0", "working_dir": "/tmp"})),
];

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Clone, Debug)]
struct Service {
    name: &'static str,
    /// Whether its image declares a volume.
    declares: bool,
    /// Which of [`ELEMENTS`].
    elements: Vec<usize>,
    /// Which other services it needs.
    needs: Vec<&'static str>,
    /// Whether the second version has another image of it.
    released: bool,
    /// In which versions it is.
    present: [bool; 2],
}

/// A stack in two versions.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    number: u32,
    services: Vec<Service>,
}

/// So many stacks.
pub(crate) fn stacks(seed: u64, count: u32) -> Vec<Stack> {
    let mut chance = Chance::of(seed);
    (1..=count).map(|number| Stack::by(&mut chance, number)).collect()
}

impl Stack {
    fn by(chance: &mut Chance, number: u32) -> Self {
        let count = 1 + usize::try_from(chance.below(4)).unwrap_or(0);
        let mut services: Vec<Service> = Vec::new();
        for name in NAMES.into_iter().take(count) {
            let elements =
                (0..chance.below(4)).map(|_| usize::try_from(chance.below(ELEMENTS.len() as u64)).unwrap_or(0));
            let mut elements: Vec<usize> = elements.collect();
            elements.sort_unstable();
            elements.dedup();
            let needs = services.iter().filter(|_| chance.below(3) == 0).map(|other| other.name).collect();
            services.push(Service {
                name,
                declares: chance.below(2) == 0,
                elements: without_contradictions(elements),
                needs,
                released: chance.below(3) > 0,
                present: if services.is_empty() {
                    [true, true]
                } else {
                    [[true, true], [true, true], [true, true], [false, true], [true, false]]
                        [usize::try_from(chance.below(5)).unwrap_or(0)]
                },
            });
        }
        Self { number, services }
    }

    pub fn case(&self, images: &Images) -> Case {
        let version = |second: bool| {
            let text = serde_json::to_string_pretty(&self.compose(images, second)).unwrap_or_default();
            vec![("compose.yaml".to_owned(), text)]
        };
        let name = format!("random {}: {}", self.number, self.describe());
        Case {
            name,
            versions: [version(false), version(true)],
            env: "WORD=spoken\n".to_owned(),
            start: Start::Installed,
        }
    }

    fn compose(&self, images: &Images, second: bool) -> Value {
        let present = |name: &str| self.services.iter().any(|s| s.name == name && s.present[usize::from(second)]);
        let mut services = Map::new();
        let mut volumes = Map::new();
        for service in self.services.iter().filter(|s| present(s.name)) {
            let image = if service.declares { &images.server } else { &images.plain };
            let tag = if second && service.released { "7.2" } else { "7.0" };
            let mut definition = json!({"image": format!("{image}:{tag}"), "stop_grace_period": "2s"});
            for element in &service.elements {
                merge(&mut definition, ELEMENTS[*element].1(service.name, second));
            }
            let needs: Vec<&&str> = service.needs.iter().filter(|name| present(name)).collect();
            if !needs.is_empty() {
                definition["depends_on"] = json!(needs);
            }
            for mount in definition["volumes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if let Some((volume, _)) = mount.split_once(':').filter(|(source, _)| !source.starts_with('.')) {
                    volumes.insert(volume.to_owned(), json!({}));
                }
            }
            services.insert(service.name.to_owned(), definition);
        }
        let text = Value::Object(services.clone()).to_string();
        let mut all = json!({"services": services});
        if !volumes.is_empty() {
            all["volumes"] = Value::Object(volumes);
        }
        let mut networks = Map::new();
        if text.contains("\"second\"") {
            networks.insert("second".to_owned(), json!({}));
        }
        if text.contains("\"fixed\"") {
            networks.insert("fixed".to_owned(), json!({"ipam": {"config": [{"subnet": "${NET}.0/24"}]}}));
        }
        if !networks.is_empty() {
            all["networks"] = Value::Object(networks);
        }
        if text.contains("/conform/text") {
            all["configs"] = json!({"text": {"content": "a text"}});
        }
        if text.contains("\"secrets\"") {
            all["secrets"] = json!({"word": {"environment": "WORD"}});
        }
        all
    }

    /// In a line what it is made of.
    pub fn describe(&self) -> String {
        let one = |service: &Service| {
            let mut parts: Vec<&str> = service.elements.iter().map(|element| ELEMENTS[*element].0).collect();
            parts.extend(service.declares.then_some("image's volume"));
            parts.extend(service.released.then_some("new image"));
            parts.extend((!service.present[0]).then_some("comes"));
            parts.extend((!service.present[1]).then_some("goes"));
            let needs =
                if service.needs.is_empty() { String::new() } else { format!(" needs {}", service.needs.join(" ")) };
            format!("{}({}{needs})", service.name, parts.join(", "))
        };
        self.services.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    /// Everything that is a little less than this.
    fn smaller(&self) -> Vec<Self> {
        let mut all = Vec::new();
        for at in 0..self.services.len() {
            if self.services.len() > 1 {
                let mut less = self.clone();
                less.services.remove(at);
                all.push(less);
            }
            for element in 0..self.services[at].elements.len() {
                let mut less = self.clone();
                less.services[at].elements.remove(element);
                all.push(less);
            }
            let service = &self.services[at];
            for change in [
                service.declares.then_some((|s: &mut Service| s.declares = false) as fn(&mut Service)),
                service.released.then_some(|s: &mut Service| s.released = false),
                (!service.needs.is_empty()).then_some(|s: &mut Service| s.needs.clear()),
                (service.present != [true, true]).then_some(|s: &mut Service| s.present = [true, true]),
            ]
            .into_iter()
            .flatten()
            {
                let mut less = self.clone();
                change(&mut less.services[at]);
                all.push(less);
            }
        }
        all
    }
}

/// The smallest stack that still differs.
pub(crate) fn shrink(stack: &Stack, differs: &dyn Fn(&Stack) -> bool) -> Stack {
    let mut smallest = stack.clone();
    while let Some(less) = smallest.smaller().into_iter().find(|less| differs(less)) {
        smallest = less;
    }
    smallest
}

/// What a service cannot have at once: a name or an address and more than one container, two scales.
fn without_contradictions(elements: Vec<usize>) -> Vec<usize> {
    let (mut single, mut scaled, mut placed, mut shared) = (false, false, false, false);
    let mut kept = Vec::new();
    for element in elements {
        let name = ELEMENTS[element].0;
        let taken = match name {
            "fixed name" | "port" => {
                single |= !scaled;
                scaled
            }
            "address" | "second network" => {
                let taken = placed || (name == "address" && scaled);
                placed = true;
                single |= name == "address" && !taken;
                taken
            }
            "two of it" | "more of it" | "fewer of it" => single || std::mem::replace(&mut scaled, true),
            "shared volume" | "shared volume, read-only" => std::mem::replace(&mut shared, true),
            _ => false,
        };
        if !taken {
            kept.push(element);
        }
    }
    let has = |name: &str| kept.iter().any(|element| ELEMENTS[*element].0 == name);
    let alone = has("port") || has("fixed name") || has("address");
    kept.into_iter().filter(|element| !(alone && ELEMENTS[*element].0.ends_with("of it"))).collect()
}

/// Lists are joined, maps merged, everything else replaced.
fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                match into.get_mut(&key) {
                    Some(there) => merge(there, value),
                    None => drop(into.insert(key, value)),
                }
            }
        }
        (Value::Array(into), Value::Array(more)) => into.extend(more),
        (into, more) => *into = more,
    }
}
