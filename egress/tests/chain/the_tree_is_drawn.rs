//! The page of the tree, in a real browser: it draws who there is as it is now, says what is wrong, can be used by keys and read on a
//! phone, and shows nothing without a token where there is one.

use lab::Browser;
use serde_json::{Value, json};

use crate::common::{By, World, browser, lab};

const TOKEN: &str = "operators";

#[test]
fn the_tree_is_drawn() {
    let lab = lab();
    let world = World::start_by(&lab, By::Native, &[("API_TOKEN", TOKEN), ("NODE_ID", "egress-1")]);
    let cli = |command: &str| drop(world.redis.cli(&command.split(' ').collect::<Vec<_>>()).unwrap());
    for (id, kind, port) in [("injection-1", "injection", 7070), ("relay-1", "relay", 7071)] {
        let ports = "host 127.0.0.1 audioPort 5002 videoPort 5004";
        cli(&format!("HSET node:{id} id {id} type {kind} treeId tree-1 {ports} status active"));
        let flow = r#""flow":{"ms":10000,"packets":1000,"bytes":1200000,"lost":0}"#;
        let entry =
            format!(r#"{{"type":"{kind}","url":"http://127.0.0.1:{port}","status":"active",{flow}}}"#);
        cli(&format!("HSET directory:tree-1 {id} {entry}"));
    }
    cli("SADD children:injection-1 relay-1");
    cli("SET parent:relay-1 injection-1");
    cli("SADD children:relay-1 egress-1");
    cli("SET parent:egress-1 relay-1");
    world.session("show", 4001, [7777, 8888]);

    let browser = browser(&lab);
    let text = |name: &str| said(&browser, &format!("document.getElementById('{name}').innerText"));
    browser.open("http://10.77.0.1:7073/tree").unwrap();
    world.until("the token is asked for", || text("state").contains("A token is needed"));
    assert_eq!(rows(&browser), [""; 0], "nothing is shown without it");
    browser.run("$('token').value = 'wrong'; $('ask').querySelector('button').click()").unwrap();
    world.until("a wrong one is told", || text("state").contains("does not open it"));
    browser.run(&format!("$('token').value = '{TOKEN}'; $('ask').querySelector('button').click()")).unwrap();
    world.until("the tree", || rows(&browser).len() == 3);
    let drawn = rows(&browser);
    for (row, words) in drawn.iter().zip(["injection-1, injection", "relay-1, relay", "egress-1, egress"]) {
        assert!(row.starts_with(words), "{drawn:?}");
    }
    world.until("its session", || text("sessions").contains("show"));
    assert_eq!(edges(&browser), 2);

    // What is different is there by itself.
    cli("SADD children:relay-1 egress-9 <b>name</b>");
    world.until("a node that is not there", || {
        rows(&browser).iter().any(|row| row.starts_with("egress-9, unknown"))
    });
    world.until("why", || text("wrong").contains("nobody has registered under this name"));
    assert!(text("state").contains("problem"), "{}", text("state"));
    assert_eq!(
        browser.run("return document.querySelectorAll('b').length").unwrap(),
        json!(0),
        "names are no HTML"
    );
    cli("SREM children:relay-1 egress-9 <b>name</b>");
    world.until("it is gone again", || rows(&browser).len() == 3);

    by_keys(&world, &browser);
    looks(&world, &browser);

    // The node goes: what is shown is old, and the page says so.
    world.egress.kill9().unwrap();
    world.until("the node is away", || text("state").contains("does not answer"));
    assert_eq!(rows(&browser).len(), 3, "what was known is worth something");
}

/// Nodes, each as a screen reader says it.
fn rows(browser: &Browser<'_>) -> Vec<String> {
    let found = browser
        .run("return [...document.querySelectorAll('[role=treeitem]')].map(row => row.ariaLabel)")
        .unwrap();
    found.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn edges(browser: &Browser<'_>) -> u64 {
    browser.run("return document.querySelectorAll('path.edge').length").unwrap().as_u64().unwrap()
}

fn said(browser: &Browser<'_>, what: &str) -> String {
    browser.run(&format!("return {what}")).unwrap().as_str().unwrap_or_default().to_owned()
}

/// A node that is chosen shows its details, and stays chosen and focused while the drawing is made anew.
fn by_keys(world: &World<'_>, browser: &Browser<'_>) {
    let press =
        "const row = [...document.querySelectorAll('.row')].find(row => row.dataset.id === 'egress-1');
        row.focus(); row.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));";
    browser.run(press).unwrap();
    let details = said(browser, "$('details').innerText");
    assert!(details.contains("egress-1") && details.contains("http://"), "{details}");
    browser.run("window.before = tree.at").unwrap();
    world
        .until("it is asked again", || browser.run("return tree.at > window.before").unwrap() == json!(true));
    assert_eq!(said(browser, "document.activeElement.dataset.id"), "egress-1");
    assert_eq!(said(browser, "document.querySelector('[aria-selected=true]').dataset.id"), "egress-1");
}

/// On a phone and on a desk, light and dark: nothing is wider than the window, and nothing is too pale to read.
fn looks(world: &World<'_>, browser: &Browser<'_>) {
    let screenshots = lab::relay::workspace().join("target/screenshots");
    for (name, width, height) in [("phone", 400, 800), ("desk", 1200, 800)] {
        browser.resize(width, height).unwrap();
        world.until("drawn for this window", || {
            let same = "return document.querySelector('#drawing svg').viewBox.baseVal.width === $('drawing').clientWidth";
            browser.run(same).unwrap() == json!(true)
        });
        let wide = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth";
        assert_eq!(browser.run(wide).unwrap(), json!(true), "{name}: the page is wider than its window");
        let outside = "return [...document.querySelectorAll('#drawing text')]
            .filter(text => text.getBoundingClientRect().right > innerWidth || text.getBoundingClientRect().left < 0)
            .map(text => text.textContent)";
        assert_eq!(browser.run(outside).unwrap(), json!([]), "{name}");
        browser.screenshot(&screenshots.join(format!("tree-{name}.png"))).unwrap();
    }
}
