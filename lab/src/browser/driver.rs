//! How a browser is told what to do: by two protocols with the same commands.

use anyhow::Result;
use serde_json::Value;

use super::looks::Screen;
use crate::process::Process;

/// What a browser can be told (W3C WebDriver).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order<'a> {
    /// Go to a page, and wait until it is loaded.
    Open(&'a str),
    /// Run a script in the page; gives what it returns.
    Run(&'a str),
    /// Run a script whose last argument is a function that takes its result.
    RunAsync(&'a str),
    /// Width and height of the window.
    Resize(u32, u32),
    /// Show pages as this screen does.
    Screen(Screen),
    /// Show pages as somebody has it who wants them dark, or light.
    Dark(bool),
    /// What a person does with mouse and keyboard: `{"actions"}`.
    Act(&'a Value),
    /// A PNG of what the window shows, in base64.
    Screenshot,
    /// Another tab; gives `{"handle"}`.
    NewTab,
    /// Orders go to this tab from now on.
    SwitchTo(&'a str),
    /// The name of the tab that orders go to.
    Current,
}

/// A driver, connected to its browser.
pub(super) trait Driver {
    /// Does it.
    fn order(&self, order: Order<'_>) -> Result<Value>;
    /// The process to kill.
    fn process(&self) -> &Process;
    /// Says goodbye, as far as that is possible.
    fn close(&self) {}
}
