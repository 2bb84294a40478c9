//! Keeps the file current, for as long as the program runs.

use std::time::{Duration, Instant};

use node::commands::Commands;

use super::{File, List, Ports, list};

/// Between two looks; …
const PAUSE: Duration = Duration::from_secs(2);
/// … or so many times as long as a look takes, if that is longer.
const SHARE: u32 = 20;
/// It is written again after so long without a change, so that its age says whether this works.
const AGAIN: Duration = Duration::from_secs(60);

/// Never ends. While Redis is away, or the file cannot be written, that is said once, and the list stays as it was.
/// Who is missing in it is said once, too.
pub async fn watch(commands: &Commands, tree_id: &str, file: &File, ports: Ports, say: impl Fn(&str)) -> ! {
    let mut last = List::read(&file.read()).of(tree_id);
    let mut written: Option<(Instant, String)> = None;
    let mut trouble: Option<String> = None;
    let mut is_remarked = false;
    loop {
        let began = Instant::now();
        let outcome = match list(commands, tree_id, last.clone()).await {
            Ok(next) => {
                last = next;
                let remark = last.remark();
                if let Some(remark) = remark.as_ref().filter(|_| !is_remarked) {
                    say(remark);
                }
                is_remarked = remark.is_some();
                refresh(&last.text(ports), file, &mut written)
            }
            Err(why) => Err(why),
        };
        match (outcome, &trouble) {
            (Ok(()), Some(_)) => {
                say(&format!("the list is current again: {} nodes", last.len()));
                trouble = None;
            }
            (Err(why), None) => {
                say(&format!("{why}; the list stays as it is"));
                trouble = Some(why);
            }
            _ => {}
        }
        tokio::time::sleep(PAUSE.max(began.elapsed() * SHARE)).await;
    }
}

/// Writes it if it has changed, or was written long ago.
fn refresh(text: &str, file: &File, written: &mut Option<(Instant, String)>) -> Result<(), String> {
    if written.as_ref().is_some_and(|(at, known)| known == text && at.elapsed() < AGAIN) {
        return Ok(());
    }
    file.write(text)?;
    *written = Some((Instant::now(), text.to_owned()));
    Ok(())
}
