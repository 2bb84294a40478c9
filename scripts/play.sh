#!/bin/bash
# Does a browser on this machine play what is at this address? Opens each page in headless Chromium (by chromedriver, W3C
# WebDriver), and believes the browser's own statistics rather than the page: 60 decoded frames and 100 packets of sound.
#
#   play.sh URL...        for instance http://localhost:7073/?id=test-scale
#   play.sh --stay URL    stays until it is ended, and prints when that changes: the time, what the page says, when it was
#                         loaded, and how often it has gone on elsewhere
#
# Prints a line a page. Exit code: 0 all play, 1 one does not within 30 s, 2 no browser.
set -uo pipefail
export LC_ALL=C

stay=""
[ "${1-}" != --stay ] || { stay=1; shift; }
[ $# -gt 0 ] || { echo "usage: play.sh [--stay] URL..." >&2; exit 64; }
for program in chromedriver chromium curl jq; do
    command -v "$program" >/dev/null || { echo "there is no $program; run: cargo xtask setup" >&2; exit 2; }
done

folder=$(mktemp -d)
driver=""
session=""
# shellcheck disable=SC2317 # the trap calls it
leave() {
    [ -z "$session" ] || curl -s -o /dev/null --max-time 5 -X DELETE "$base/session/$session"
    [ -z "$driver" ] || kill "$driver" 2>/dev/null
    wait
    rm -rf "$folder"
}
trap leave EXIT
trap 'exit 130' INT TERM

# It chooses a free port itself, and says which.
: >"$folder/driver"
chromedriver --port=0 >"$folder/driver" 2>&1 &
driver=$!
# until_true COMMAND...: every 50 ms, for at most 30 s.
until_true() {
    local deadline=$((SECONDS + 30))
    until "$@"; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.05
    done
}
until_true grep -q 'successfully on port [0-9]' "$folder/driver" || { echo "chromedriver does not start: $(cat "$folder/driver")" >&2; exit 2; }
base=http://127.0.0.1:$(sed -n 's/.*started successfully on port \([0-9]*\).*/\1/p' "$folder/driver" | head -n 1)

# call PATH BODY: one command; prints its value.
call() {
    curl -s --max-time 60 -H 'Content-Type: application/json' -d "$2" "$base/session$1" | jq -c .value
}

arguments='["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--autoplay-policy=no-user-gesture-required"]'
answer=$(call "" "$(jq -n --argjson args "$arguments" --arg profile "$folder/profile" '{capabilities: {alwaysMatch: {
    browserName: "chrome", "goog:chromeOptions": {args: ($args + ["--user-data-dir=" + $profile])},
    timeouts: {script: 20000, pageLoad: 30000}}}}')")
session=$(jq -r '.sessionId // empty' <<<"$answer")
[ -n "$session" ] || { echo "Chromium does not start: $answer" >&2; exit 2; }

remember='window.peers = []; const Native = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Native { constructor(...all) { super(...all); window.peers.push(this); } };'
call "/$session/goog/cdp/execute" "$(jq -n --arg source "$remember" \
    '{cmd: "Page.addScriptToEvaluateOnNewDocument", params: {source: $source}}')" >/dev/null

statistics='const done = arguments[0]; (async () => {
    const said = {frames: 0, width: 0, sound: 0, lost: 0};
    for (const peer of window.peers) for (const entry of (await peer.getStats()).values()) {
        if (entry.type !== "inbound-rtp") continue;
        said.lost += entry.packetsLost;
        if (entry.kind === "video") { said.frames += entry.framesDecoded; said.width = entry.frameWidth; }
        else said.sound += entry.packetsReceived;
    }
    done(said);
})();'
seen=""
# shellcheck disable=SC2317 # until_true calls it
plays() {
    seen=$(call "/$session/execute/async" "$(jq -n --arg script "$statistics" '{script: $script, args: []}')")
    [ "$(jq '.frames? >= 60 and .sound >= 100' <<<"$seen" 2>/dev/null)" = true ]
}
code=0
for url; do
    began=$SECONDS
    call "/$session/url" "$(jq -n --arg url "$url" '{url: $url}')" >/dev/null
    if until_true plays; then
        jq -r --arg s "$((SECONDS - began))" '"plays: \(.frames) frames \(.width) wide, \(.sound) packets of sound, \(.lost) lost, after \($s) s"' <<<"$seen"
    else
        echo "does not play $url: ${seen:-nothing}; the page says: $(call "/$session/execute/sync" '{"script": "return document.body.innerText", "args": []}')"
        code=1
    fi
done
# What the page says, as a viewer reads it, when it was loaded, and how often it has gone on elsewhere.
says='return [document.getElementById("cover").hidden ? window.seen.state : document.getElementById("cover").innerText, performance.timeOrigin, window.seen.moves];'
before=""
while [ -n "$stay" ] && [ $code = 0 ]; do
    now=$(call "/$session/execute/sync" "$(jq -n --arg script "$says" '{script: $script, args: []}')")
    [ "$now" = "$before" ] || echo "$EPOCHREALTIME $now"
    before=$now
    sleep 0.1
done
exit $code
