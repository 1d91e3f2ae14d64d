//! What each call does to containers, networks and volumes, and what happens by itself as time goes by: the rules of Docker
//! that an update depends on.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    path::Path,
};

use serde_json::{Value, json};

use crate::{
    container::{Container, Point, State, attached},
    image_store::ImageStore,
    images::{Behaviour, Image},
};

/// Why a call was refused: HTTP status and words.
pub(crate) type Refused = (u16, String);
/// How a call ends that gives nothing.
pub(crate) type Done = Result<(), Refused>;

/// A call that is to be the last of whoever makes it.
#[derive(Clone, Copy, Debug)]
pub struct CrashPoint {
    /// Counted from the moment it is set: the n-th call that changes something.
    pub number: u64,
    /// Whether the call takes effect.
    pub after: bool,
    /// The process group that is killed.
    pub group: i32,
    /// Whether compose, which has a group of its own, ends too, as by a power cut.
    pub all: bool,
}

/// A simulated engine.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    /// The calls on images are its own, but for those that depend on containers.
    pub(crate) images: ImageStore,
    containers: BTreeMap<String, Container>,
    networks: BTreeMap<String, Value>,
    volumes: BTreeMap<String, Value>,
    /// Volumes with data in them that must not be lost; none until somebody has put some there.
    marked: Option<BTreeSet<String>>,
    execs: BTreeMap<String, i64>,
    born: u64,
    changes: u64,
    crash_point: Option<(u64, CrashPoint)>,
    /// What must never be.
    violations: Vec<String>,
}

impl Engine {
    /// An engine with nothing on its disk, beside a registry with these images.
    pub fn new(registry: Vec<Image>) -> Self {
        Self { images: ImageStore::before(registry), ..Self::default() }
    }

    /// All containers, by name.
    pub fn containers(&self) -> Vec<&Container> {
        let mut all: Vec<&Container> = self.containers.values().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// How many calls have changed something.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// What has happened that must never happen, such as two databases on one volume.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// Sets a crash point, or takes it away.
    pub fn set_crash_point(&mut self, crash_point: Option<CrashPoint>) {
        self.crash_point = crash_point.map(|crash_point| (self.changes + crash_point.number, crash_point));
    }

    /// Whether the crash point that was set has been reached; true without one as well.
    pub fn is_past_crash_point(&self) -> bool {
        self.crash_point.is_none()
    }

    /// The power fails and comes back: everything stops, and what restarts by itself is started.
    pub fn power_cut(&mut self) {
        let ids: Vec<String> = self.containers.keys().cloned().collect();
        for id in &ids {
            self.end(id, 137);
        }
        // In the order of dependence, as far as compose's labels tell; what does not start now is tried again.
        for _ in 0..ids.len() {
            let mut moved = false;
            for id in &ids {
                let container = &self.containers[id];
                let starts = match container.restart() {
                    "always" => true,
                    "unless-stopped" | "on-failure" => container.wanted,
                    _ => false,
                };
                // What was never started is left alone, whatever its policy says.
                let was_started = !matches!(container.state, State::Created);
                if starts && was_started && !container.is_up() {
                    moved |= self.start_program(&id.clone()).is_ok();
                }
            }
            if !moved {
                break;
            }
        }
    }

    /// Counts a call that changes something; the crash point, when it is this one.
    pub(crate) fn change(&mut self) -> Option<CrashPoint> {
        self.changes += 1;
        let (_, crash_point) = self.crash_point.filter(|(number, _)| *number <= self.changes)?;
        self.crash_point = None;
        Some(crash_point)
    }

    /// What the engine does by itself as time goes by: a proxy that ended is started again, and finds its names or not.
    pub(crate) fn go_on(&mut self) {
        let lost = |c: &&Container| c.is_up() && c.found.is_none() && c.restart() != "no";
        let waiting: Vec<String> = self.containers.values().filter(lost).map(|c| c.id.clone()).collect();
        for id in waiting {
            let found = self.upstreams(&self.containers[&id]);
            if let Some(container) = self.containers.get_mut(&id).filter(|_| found.is_some()) {
                container.restarts += container.crashes();
                container.found = found;
                container.state = State::running();
            }
        }
    }

    /// What a program finds behind the names that it looks up; none when one of them leads nowhere.
    fn upstreams(&self, container: &Container) -> Option<Vec<String>> {
        let Behaviour::Proxies(names) = container.image.behaviour else { return Some(Vec::new()) };
        let mut found = Vec::new();
        for name in names {
            let behind: Vec<String> = self.reachable(container, name).collect();
            if behind.is_empty() {
                return None;
            }
            found.extend(behind);
        }
        Some(found)
    }

    /// The ports on which somebody answers.
    pub(crate) fn open_ports(&self) -> BTreeSet<u16> {
        self.containers.values().filter(|c| c.runs()).flat_map(Container::ports).map(|(_, port)| port).collect()
    }

    /// A container by id, the beginning of an id, or a name.
    pub(crate) fn find(&self, key: &str) -> Result<&Container, Refused> {
        let by_name = || self.containers.values().find(|c| c.name == key.trim_start_matches('/'));
        let by_prefix = || self.containers.values().find(|c| key.len() >= 8 && c.id.starts_with(key));
        let found = self.containers.get(key).or_else(by_name).or_else(by_prefix);
        found.ok_or_else(|| (404, format!("No such container: {key}")))
    }

    /// An id of which the first twelve digits are its own too.
    fn new_id(&mut self) -> String {
        self.born += 1;
        format!("{:012x}{:052x}", self.born, self.born)
    }

    fn id(&self, key: &str) -> Result<String, Refused> {
        self.find(key).map(|container| container.id.clone())
    }

    pub(crate) fn list(&self, all: bool, wanted: &[(String, String)]) -> Value {
        let fits = |c: &&Container| wanted.iter().all(|(key, value)| c.config["Labels"][key] == value.as_str());
        let shown = self.containers.values().filter(|c| all || c.runs()).filter(fits);
        shown.map(Container::summary).collect()
    }

    pub(crate) fn inspect(&self, key: &str) -> Result<Value, Refused> {
        self.find(key).map(Container::details)
    }

    /// # Errors
    /// 409 when the name is taken, 404 when the image is not there.
    pub(crate) fn create(&mut self, name: &str, body: Value) -> Result<String, Refused> {
        if let Some(other) = self.containers.values().find(|c| c.name == name) {
            let words =
                format!("Conflict. The container name \"/{name}\" is already in use by container \"{}\".", other.id);
            return Err((409, words));
        }
        let reference = body["Image"].as_str().unwrap_or_default().to_owned();
        let image = self.images.local(&reference)?;
        let id = self.new_id();
        let mut container = Container::new(id.clone(), name, image, body);
        for mount in container.host["Mounts"].as_array().into_iter().flatten() {
            let point = Point::of(mount, &self.new_id());
            if point.is_volume() {
                self.make_volume(&point.source, Value::Null);
            }
            container.points.push(point);
        }
        self.containers.insert(id.clone(), container);
        Ok(id)
    }

    /// # Errors
    /// 304 when it runs, 500 when a port is taken.
    pub(crate) fn start(&mut self, key: &str) -> Done {
        let id = self.id(key)?;
        let container = &self.containers[&id];
        if container.is_up() && !(container.restart() == "no" && container.crashes() > 0) {
            return Err((304, String::new()));
        }
        self.start_program(&id)
    }

    fn start_program(&mut self, id: &str) -> Done {
        let container = &self.containers[id];
        if let Some(gone) = container.networks.keys().find(|name| !self.networks.contains_key(*name)) {
            return Err((404, format!("network {gone} not found")));
        }
        for (_, port) in container.ports() {
            if self.containers.values().any(|c| c.is_up() && c.id != id && c.publishes(port)) {
                let words = format!(
                    "driver failed programming external connectivity: Bind for 0.0.0.0:{port} failed: port is already allocated"
                );
                return Err((500, words));
            }
        }
        for other in self.containers.values().filter(|c| c.id != id && c.runs()) {
            // Services may share a volume, as a database and what backs it up do.
            let both = other.volumes().find(|volume| container.volumes().any(|own| own == *volume));
            if let Some(volume) = both.filter(|_| other.service() == container.service()) {
                self.violations.push(format!("{} and {} run on the one volume {volume}", other.name, container.name));
            }
        }
        let found = self.upstreams(container);
        if let Some(container) = self.containers.get_mut(id) {
            container.restarts = 0;
            container.wanted = true;
            container.found = found;
            container.state = State::running();
        }
        Ok(())
    }

    /// Ids of running containers that `from` reaches by a name.
    fn reachable<'a>(&'a self, from: &'a Container, name: &'a str) -> impl Iterator<Item = String> {
        let named = move |endpoint: &Value| {
            endpoint["Aliases"].as_array().is_some_and(|aliases| aliases.iter().any(|alias| alias == name))
        };
        let shares =
            move |c: &&Container| c.networks.iter().any(|(net, at)| from.networks.contains_key(net) && named(at));
        self.containers.values().filter(|c| c.runs()).filter(shares).map(|c| c.id.clone())
    }

    /// # Errors
    /// 304 when it does not run.
    pub(crate) fn stop(&mut self, key: &str) -> Done {
        let id = self.id(key)?;
        if !self.containers[&id].is_up() {
            return Err((304, String::new()));
        }
        self.end(&id, 0);
        if let Some(container) = self.containers.get_mut(&id) {
            container.wanted = false;
        }
        Ok(())
    }

    fn end(&mut self, id: &str, code: i64) {
        if let Some(container) = self.containers.get_mut(id)
            && container.is_up()
        {
            container.state = State::Exited(code);
        }
    }

    pub(crate) fn kill(&mut self, key: &str) -> Done {
        let id = self.id(key)?;
        if !self.containers[&id].is_up() {
            return Err((409, format!("container {key} is not running")));
        }
        self.end(&id, 137);
        Ok(())
    }

    /// With `volumes` goes what the engine made for it alone, unless somebody else has it by now.
    pub(crate) fn remove(&mut self, key: &str, force: bool, volumes: bool) -> Done {
        let id = self.id(key)?;
        if !force && self.containers[&id].is_up() {
            return Err((409, format!("cannot remove a running container {key}")));
        }
        let Some(gone) = self.containers.remove(&id).filter(|_| volumes) else { return Ok(()) };
        for point in gone.points.iter().filter(|point| point.anonymous) {
            // what somebody else has stays
            let _ = self.remove_volume(&point.source);
        }
        Ok(())
    }

    /// # Errors
    /// 404 when it is not there, 400 when it is no archive.
    pub(crate) fn put(&mut self, key: &str, folder: &str, archive: &[u8]) -> Done {
        let id = self.id(key)?;
        let Some(container) = self.containers.get_mut(&id) else { return Ok(()) };
        let mut unpacked = || -> std::io::Result<()> {
            for entry in tar::Archive::new(archive).entries()? {
                let mut entry = entry?;
                let path = Path::new(folder).join(entry.path()?).display().to_string();
                let mut text = String::new();
                if entry.header().entry_type().is_file() {
                    entry.read_to_string(&mut text)?;
                    container.files.insert(path, text);
                }
            }
            Ok(())
        };
        unpacked().map_err(|error| (400, error.to_string()))
    }

    pub(crate) fn rename(&mut self, key: &str, name: &str) -> Done {
        let id = self.id(key)?;
        if let Some(other) = self.containers.values().find(|c| c.name == name) {
            return Err((
                409,
                format!("Conflict. The container name \"/{name}\" is already in use by \"{}\".", other.id),
            ));
        }
        if let Some(container) = self.containers.get_mut(&id) {
            name.clone_into(&mut container.name);
        }
        Ok(())
    }

    pub(crate) fn update(&mut self, key: &str, body: &Value) -> Done {
        let id = self.id(key)?;
        if let (Some(container), policy @ Value::Object(_)) = (self.containers.get_mut(&id), &body["RestartPolicy"]) {
            container.host["RestartPolicy"] = policy.clone();
        }
        Ok(())
    }

    pub(crate) fn connect(&mut self, network: &str, body: &Value) -> Done {
        let id = self.id(body["Container"].as_str().unwrap_or_default())?;
        let name = self.network(network)?["Name"].as_str().unwrap_or_default().to_owned();
        let Some(container) = self.containers.get_mut(&id) else { return Ok(()) };
        if container.networks.contains_key(&name) {
            return Err((403, format!("endpoint with name {} already exists in network {name}", container.name)));
        }
        container.networks.insert(name, attached(&body["EndpointConfig"], &id));
        Ok(())
    }

    pub(crate) fn disconnect(&mut self, network: &str, body: &Value) -> Done {
        let id = self.id(body["Container"].as_str().unwrap_or_default())?;
        let name = self.network(network)?["Name"].as_str().unwrap_or_default().to_owned();
        match self.containers.get_mut(&id).and_then(|container| container.networks.remove(&name)) {
            Some(_) => Ok(()),
            None => Err((500, format!("container {id} is not connected to network {name}"))),
        }
    }

    pub(crate) fn network(&self, key: &str) -> Result<&Value, Refused> {
        let by_id = || self.networks.values().find(|network| network["Id"] == key);
        self.networks.get(key).or_else(by_id).ok_or_else(|| (404, format!("network {key} not found")))
    }

    pub(crate) fn networks(&self, wanted: &[(String, String)]) -> Value {
        labelled(self.networks.values(), wanted)
    }

    pub(crate) fn make_network(&mut self, name: &str, labels: Value) {
        let id = self.new_id();
        let network = json!({"Name": name, "Id": id, "Driver": "bridge", "Labels": labels, "Options": {}});
        self.networks.entry(name.to_owned()).or_insert(network);
    }

    /// # Errors
    /// 409 when there is one of this name.
    pub(crate) fn create_network(&mut self, body: &Value) -> Result<String, Refused> {
        let name = body["Name"].as_str().unwrap_or_default().to_owned();
        if self.networks.contains_key(&name) {
            return Err((409, format!("network with name {name} already exists")));
        }
        self.make_network(&name, body["Labels"].clone());
        self.network(&name).map(|network| network["Id"].as_str().unwrap_or_default().to_owned())
    }

    pub(crate) fn remove_network(&mut self, key: &str) -> Done {
        let name = self.network(key)?["Name"].as_str().unwrap_or_default().to_owned();
        if self.containers.values().any(|c| c.runs() && c.networks.contains_key(&name)) {
            return Err((403, format!("network {name} has active endpoints")));
        }
        self.networks.remove(&name);
        Ok(())
    }

    pub(crate) fn volume(&self, name: &str) -> Result<&Value, Refused> {
        self.volumes.get(name).ok_or_else(|| (404, format!("get {name}: no such volume")))
    }

    pub(crate) fn volumes(&self, wanted: &[(String, String)]) -> Value {
        labelled(self.volumes.values(), wanted)
    }

    pub(crate) fn make_volume(&mut self, name: &str, labels: Value) {
        let volume = json!({"Name": name, "Driver": "local", "Mountpoint": "/sim", "Scope": "local", "Labels": labels, "Options": {}});
        self.volumes.entry(name.to_owned()).or_insert(volume);
    }

    pub(crate) fn remove_volume(&mut self, name: &str) -> Done {
        self.volume(name)?;
        if self.containers.values().any(|c| c.volumes().any(|volume| volume == name)) {
            return Err((409, format!("remove {name}: volume is in use")));
        }
        self.volumes.remove(name);
        if let Some(marked) = &mut self.marked {
            marked.remove(name);
        }
        Ok(())
    }

    /// Puts data into every volume that there is.
    pub fn mark_volumes(&mut self) {
        self.marked = Some(self.volumes.keys().cloned().collect());
    }

    /// What is wrong with the volumes: one that is mounted and has lost its data, one that nobody has and nobody can name.
    pub(crate) fn wrong_volumes(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for container in self.containers.values() {
            let lost = |volume: &&str| self.marked.as_ref().is_some_and(|marked| !marked.contains(*volume));
            wrong.extend(
                container.volumes().filter(lost).map(|volume| format!("{} has {volume}, empty", container.name)),
            );
        }
        for (name, volume) in &self.volumes {
            let used = self.containers.values().any(|c| c.volumes().any(|own| own == name));
            if volume["Labels"].is_null() && !used {
                wrong.push(format!("volume {name} was left"));
            }
        }
        wrong
    }

    /// # Errors
    /// 404 when it is not there, 409 when it is named by its id and a container is made from it.
    pub(crate) fn remove_image(&mut self, reference: &str) -> Done {
        let in_use = |id: &str| self.containers.values().any(|c| c.image.digest() == id);
        self.images.remove(reference, in_use)
    }

    /// Notes a program that is to run in a container, and how it will end.
    pub(crate) fn exec(&mut self, key: &str, argv: &[&str]) -> Result<String, Refused> {
        let container = self.find(key)?;
        if !container.runs() {
            return Err((409, format!("container {key} is not running")));
        }
        let check: Vec<&str> = container.config["Healthcheck"]["Test"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let is_check = check.len() > 1 && argv.ends_with(&check[1..]);
        let code = i64::from(is_check && container.image.behaviour == Behaviour::NeverHealthy);
        let id = self.new_id();
        self.execs.insert(id.clone(), code);
        Ok(id)
    }

    pub(crate) fn exec_code(&self, id: &str) -> Result<i64, Refused> {
        self.execs.get(id).copied().ok_or_else(|| (404, format!("No such exec instance: {id}")))
    }

    /// What a client of this port reads: the version behind the proxy, none when it answers that its backend is gone.
    pub(crate) fn answer(&self, port: u16) -> Option<String> {
        let holder = self.containers.values().find(|c| c.runs() && c.publishes(port))?;
        let mut behind = holder.found.iter().flatten().map(|id| self.containers.get(id).filter(|c| c.runs()));
        let reaches = |c: &Container| c.networks.keys().any(|network| holder.networks.contains_key(network));
        let all: Option<Vec<&Container>> = behind.by_ref().map(|c| c.filter(|c| reaches(c))).collect();
        let mut versions: Vec<&str> = all?.iter().map(|c| c.image.tag()).collect();
        versions.push(holder.image.tag());
        versions.dedup();
        Some(versions.join("+"))
    }
}

fn labelled<'a>(all: impl Iterator<Item = &'a Value>, wanted: &[(String, String)]) -> Value {
    all.filter(|one| wanted.iter().all(|(key, value)| one["Labels"][key] == value.as_str())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_an_id_that_no_other_has() {
        let mut engine = Engine::new(Vec::new());
        engine.make_network("first", json!({}));
        engine.make_network("second", json!({}));
        engine.remove_network("first").unwrap();
        engine.make_network("third", json!({}));
        for name in ["second", "third"] {
            let id = engine.network(name).unwrap()["Id"].as_str().unwrap().to_owned();
            assert_eq!(engine.network(&id).unwrap()["Name"], name);
        }
    }
}
