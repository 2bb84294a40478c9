//! How a page looks: on a phone and on a desk, light and dark; and whether it can be read and used there.

use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::Browser;
use super::driver::Order;

/// What a page is looked at on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// A phone, held upright.
    Phone,
    /// A window of a computer.
    Desk,
}

impl Screen {
    /// Width and height, in CSS pixels. Firefox makes its window no narrower than 450.
    pub(super) fn size(self) -> (u32, u32) {
        match self {
            Screen::Phone => (390, 844),
            Screen::Desk => (1280, 860),
        }
    }
}

/// Gives complaints: text of too little contrast (WCAG 2.2, 1.4.3), controls without a name, too small for a finger or beside the
/// screen, and a page that is wider than it.
const COMPLAINTS: &str = "
    const complaints = [], root = document.documentElement;
    const numbers = text => {
        const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
        return [r, g, b, a];
    };
    const over = ([r, g, b, a], below) => [r, g, b].map((value, at) => value * a + below[at] * (1 - a));
    const behind = element => {
        if (!element) return [255, 255, 255];
        const colour = numbers(getComputedStyle(element).backgroundColor);
        return colour[3] === 1 ? colour.slice(0, 3) : over(colour, behind(element.parentElement));
    };
    const light = colour => {
        const [r, g, b] = colour.map(value => value / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b;
    };
    const contrast = element => {
        const back = behind(element), ink = over(numbers(getComputedStyle(element).color), back);
        const [more, less] = [light(back), light(ink)].sort((one, other) => other - one);
        return (more + .05) / (less + .05);
    };
    const shown = element => element.checkVisibility() && !element.closest('.unseen') && !element.matches(':disabled');
    const called = element => (element.ariaLabel || element.innerText || element.labels?.[0]?.innerText || '').trim();
    if (root.scrollWidth > innerWidth) complaints.push(`the page is ${root.scrollWidth} wide, the screen ${innerWidth}`);
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const { parentElement: element, data } = texts.currentNode;
        if (!data.trim() || ['SCRIPT', 'STYLE', 'OPTION'].includes(element.tagName) || !shown(element)) continue;
        const found = contrast(element);
        if (found < 4.5) complaints.push(`contrast ${found.toFixed(1)}: ${data.trim()}`);
    }
    for (const element of document.querySelectorAll('button, input, select, a')) {
        if (!shown(element)) continue;
        const name = called(element), { left, right, width, height } = element.getBoundingClientRect();
        if (!name) complaints.push(`no name: ${element.outerHTML}`);
        if (height < 44 || width < 44) complaints.push(`${width.toFixed(0)} by ${height.toFixed(0)}: ${name}`);
        if (left < 0 || right > innerWidth) complaints.push(`beside the screen: ${name}`);
    }
    return complaints;";

impl Browser<'_> {
    /// Shows pages from now on as this screen does, and as somebody has it who wants them dark, or light.
    pub fn look_as(&self, screen: Screen, dark: bool) -> Result<()> {
        self.driver.order(Order::Screen(screen))?;
        self.driver.order(Order::Dark(dark)).map(drop)
    }

    /// What keeps people from reading and using what the page shows now.
    pub fn complaints(&self) -> Result<Vec<String>> {
        Ok(serde_json::from_value(self.run(COMPLAINTS)?)?)
    }

    /// The page can be read and used on every screen, light and dark, in this state. Pictures of it are in the build folder
    /// (`target/screenshots`), as `PAGE-STATE-BROWSER-SCREEN-SCHEME.png`.
    pub fn can_be_read(&self, page: &str, state: &str) -> Result<()> {
        let folder = crate::relay::workspace().join("target/screenshots");
        let complaints = self.pictures(&folder, &format!("{page}-{}", state.replace(' ', "-")))?;
        ensure!(complaints.is_empty(), "{complaints:#?}");
        Ok(())
    }

    /// Pictures of the page on every screen, light and dark; gives all complaints.
    fn pictures(&self, folder: &Path, name: &str) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for (screen, dark) in
            [Screen::Desk, Screen::Phone].into_iter().flat_map(|screen| [(screen, false), (screen, true)])
        {
            self.look_as(screen, dark)?;
            let scheme = if dark { "dark" } else { "light" };
            let name = format!("{name}-{:?}-{screen:?}-{scheme}", self.maker).to_lowercase();
            self.screenshot(&folder.join(format!("{name}.png")))?;
            all.extend(self.complaints()?.into_iter().map(|complaint| format!("{name}: {complaint}")));
        }
        Ok(all)
    }

    /// Presses a key, as a person does: what only people may do (sound, full screen) is allowed.
    pub fn press(&self, key: &str) -> Result<()> {
        let actions = ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key }));
        self.act(json!({ "type": "key", "id": "keyboard", "actions": actions }))
    }

    /// Clicks on the middle of what a selector finds.
    pub fn click(&self, selector: &str) -> Result<()> {
        let script = format!(
            "const found = document.querySelector({}); found.scrollIntoView({{ block: 'nearest' }});
            const {{ x, y, width, height }} = found.getBoundingClientRect();
            return [x + width / 2, y + height / 2].map(Math.round)",
            json!(selector)
        );
        let at = self.run(&script)?;
        let pointer = json!({ "type": "pointerMove", "duration": 0, "x": at[0], "y": at[1] });
        let press = ["pointerDown", "pointerUp"].map(|kind| json!({ "type": kind, "button": 0 }));
        self.act(json!({ "type": "pointer", "id": "mouse", "actions": [pointer, press[0], press[1]] }))
    }

    fn act(&self, source: Value) -> Result<()> {
        self.driver.order(Order::Act(&json!({ "actions": [source] }))).map(drop)
    }
}
