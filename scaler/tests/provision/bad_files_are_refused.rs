use super::*;

#[test]
fn bad_files_are_refused() {
    let process = "[process]\nstate = '/s'\n";
    let egress = "[process.egress]\ncommand = ['egress']\n";
    for (text, why) in [
        ("".to_owned(), "missing field `backend`"),
        ("backend = 'proces'".to_owned(), "line 1: unknown variant `proces`"),
        ("backend = 'process'".to_owned(), "backend is \"process\", and there is no section [process]"),
        ("backend = 'command'\n[command]\ncommand = []".to_owned(), "command.command is empty"),
        ("backend = 'command'\n[command]\ncommand = ['x']\nwithin = nan".to_owned(), "command.within is NaN"),
        (format!("backend = 'process'\n{process}stat = 1\n"), "line 4: unknown field `stat`"),
        (format!("backend = 'process'\n{process}end-within = -1.0\n"), "process.end-within is -1"),
        (format!("backend = 'process'\n{process}ports = '9-1'\n"), "process.ports is \"9-1\""),
        (format!("backend = 'process'\n{process}ports = '0-99'\n"), "process.ports is \"0-99\""),
        (format!("backend = 'process'\n{process}ports = '1-7'\n"), "have room for a node"),
        (format!("backend = 'process'\n{process}ports = '1-9'\nports-each = 0\n"), "ports-each 0"),
        (
            format!("backend = 'process'\n{process}[process.egress]\ncommand = ['']\n"),
            "process.egress: command is empty",
        ),
        (
            format!("backend = 'process'\n{process}{egress}environment = {{ A = '{{port}}' }}\n"),
            "process.egress: {port}: nodes of this back end have no ports",
        ),
        (
            format!("backend = 'process'\n{process}{egress}after = ['x', '{{nam}}']\n"),
            "process.egress: {nam} means nothing",
        ),
    ] {
        let refused = Backend::read(&text).err().unwrap_or_else(|| panic!("{text}: taken"));
        assert!(refused.contains(why) && !refused.contains('\n'), "{text}: {refused}");
    }
    assert!(Backend::read(&format!("backend = 'process'\n{process}{egress}")).is_ok());
}

#[tokio::test]
async fn names_that_could_be_paths_are_refused() {
    let place = Place::new();
    let backend = place.processes("exec sleep 600", "");
    for name in ["../x", "", "a/b"] {
        assert!(backend.make(&egress(name), true).await.is_err_and(|trouble| !trouble.again));
        assert!(backend.destroy("tree-1", name).await.is_err_and(|trouble| !trouble.again));
        assert!(backend.destroy(name, "egress-1").await.is_err_and(|trouble| !trouble.again));
        assert!(backend.list(name).await.is_err_and(|trouble| !trouble.again));
    }
    let relay = Spec { role: NodeType::Relay, ..egress("relay-9") };
    let trouble = backend.make(&relay, true).await.unwrap_err();
    assert!(!trouble.again && trouble.why.contains("no [process.relay]"), "{trouble}");
}

#[test]
fn the_example_is_right_for_every_back_end() {
    let example = include_str!("../../../deploy/provision.example.toml");
    for name in ["process", "docker", "kubernetes", "command"] {
        let file = example.replace("backend = \"process\"", &format!("backend = {name:?}"));
        // What can be left out is right as well.
        for file in [file.clone(), file.replace("\n#: ", "\n")] {
            let backend = Backend::read(&file).unwrap_or_else(|why| panic!("{name}: {why}"));
            assert_eq!(backend.name(), name);
        }
    }
}

/// An egress that is not told where it is ends at once.
#[test]
fn the_examples_egress_knows_where_it_is() {
    let example: toml::Value =
        toml::from_str(include_str!("../../../deploy/provision.example.toml")).unwrap();
    for name in ["process", "docker"] {
        let environment = example[name]["egress"]["environment"].as_table().unwrap();
        assert!(environment.contains_key("NODE_HOST"), "{name}: {environment:?}");
    }
    let pod = example["kubernetes"]["egress"]["spec"]["containers"][0]["env"].as_array().unwrap();
    assert!(pod.iter().any(|variable| variable["name"].as_str() == Some("NODE_HOST")), "{pod:?}");
}
