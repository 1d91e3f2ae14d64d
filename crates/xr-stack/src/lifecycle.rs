//! Programs that compose runs in a container when it has started it, and before it stops it
//! ([specification](https://github.com/compose-spec/compose-spec/blob/main/05-services.md#post_start)).

use serde_json::Value;

/// When such a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// `post_start`
    AfterStart,
    /// `pre_stop`
    BeforeStop,
}

/// One program. Its environment may hold secrets: there is no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct LifecycleHook {
    /// Its name and its arguments.
    pub command: Vec<String>,
    /// The user, where it is not the container's own.
    pub user: Option<String>,
    /// Whether it has all rights.
    pub privileged: bool,
    /// The folder to begin in, where it is not the container's own.
    pub folder: Option<String>,
    /// `KEY=VALUE` beside the container's own.
    pub env: Vec<String>,
}

/// The programs of one service of a resolved configuration, in their order.
pub fn lifecycle_hooks(definition: &Value, moment: Moment) -> Vec<LifecycleHook> {
    let key = match moment {
        Moment::AfterStart => "post_start",
        Moment::BeforeStop => "pre_stop",
    };
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let hook = |hook: &Value| LifecycleHook {
        command: hook["command"].as_array().into_iter().flatten().filter_map(text).collect(),
        user: text(&hook["user"]),
        privileged: hook["privileged"] == true,
        folder: text(&hook["working_dir"]),
        env: environment(&hook["environment"]),
    };
    definition[key].as_array().into_iter().flatten().map(hook).collect()
}

fn environment(given: &Value) -> Vec<String> {
    let listed = given.as_array().into_iter().flatten().filter_map(|pair| pair.as_str().map(str::to_owned));
    let named = given.as_object().into_iter().flatten();
    let named = named.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    listed.chain(named).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_programs_of_a_service_are_read_with_their_settings() {
        let definition = json!({"post_start": [
            {"command": ["chown", "7", "/data"], "user": "root", "privileged": true, "working_dir": "/d", "environment": {"A": "1", "B": null}},
            {"command": ["true"]},
        ]});
        let hooks = lifecycle_hooks(&definition, Moment::AfterStart);
        assert_eq!(hooks.len(), 2);
        assert_eq!(hooks[0].command, ["chown", "7", "/data"]);
        assert_eq!((hooks[0].user.as_deref(), hooks[0].folder.as_deref()), (Some("root"), Some("/d")));
        assert!(hooks[0].privileged && !hooks[1].privileged);
        assert_eq!(hooks[0].env, ["A=1"]);
        assert!(lifecycle_hooks(&definition, Moment::BeforeStop).is_empty());
    }
}
