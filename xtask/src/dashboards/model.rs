//! From a description to Grafana's JSON: schema version 39, which Grafana 10.4 and all later ones take.

use serde_json::{Value, json};

use super::description::{Dashboard, Kind, Panel, Row};

/// Of the grid.
const WIDTH: u32 = 24;
/// What a dashboard can be narrowed by, and where Grafana gets the values from. Every node has the process' start time.
const VARIABLES: [(&str, &str, &str); 3] = [
    ("tree", "Tree", r#"label_values(process_start_time_seconds{job=~"media-tree-.+"}, tree_id)"#),
    (
        "node",
        "Node",
        r#"label_values(process_start_time_seconds{job=~"media-tree-.+",tree_id=~"$tree"}, node_id)"#,
    ),
    ("session", "Session", r#"label_values(media_tree_egress_active_viewers{tree_id=~"$tree"}, session_id)"#),
];

/// The whole file.
pub fn dashboard(described: &Dashboard) -> Value {
    let queries = || described.rows.iter().flat_map(|row| &row.panels).flat_map(|panel| &panel.queries);
    let used = |name: &str| queries().any(|[_, query]| query.contains(&format!("\"${name}\"")));
    let own = VARIABLES.iter().filter(|(name, ..)| used(name)).map(variable);
    json!({
        "uid": described.uid,
        "title": described.title,
        "description": described.about,
        "tags": ["media-tree"],
        "schemaVersion": 39,
        "version": 1,
        "editable": true,
        "graphTooltip": 1,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [link()],
        "annotations": {"list": []},
        "templating": {"list": std::iter::once(data_source()).chain(own).collect::<Vec<_>>()},
        "panels": panels(&described.rows),
    })
}

/// To the others of ours, with what this one is narrowed by.
fn link() -> Value {
    json!({
        "type": "dashboards", "title": "Media-Tree", "tags": ["media-tree"], "asDropdown": false, "icon": "external link",
        "includeVars": true, "keepTime": true, "targetBlank": false, "tooltip": "",
    })
}

fn data_source() -> Value {
    json!({"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0, "refresh": 1})
}

fn variable((name, label, query): &(&str, &str, &str)) -> Value {
    json!({
        "name": name, "label": label, "type": "query", "datasource": source(),
        "query": {"query": query, "refId": name},
        "refresh": 2, "sort": 7, "multi": true, "includeAll": true, "allValue": ".*", "hide": 0,
        "current": {"text": "All", "value": "$__all"},
    })
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// Rows below each other; in each, panels side by side as far as the grid goes.
fn panels(rows: &[Row]) -> Vec<Value> {
    let mut all = Vec::new();
    let mut y = 0;
    for row in rows {
        all.push(json!({
            "id": all.len() + 1, "type": "row", "title": row.title, "collapsed": false, "panels": [],
            "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1},
        }));
        y += 1;
        let mut x = 0;
        for described in &row.panels {
            if x + described.width > WIDTH {
                (x, y) = (0, y + row.height);
            }
            let place = json!({"x": x, "y": y, "w": described.width, "h": row.height});
            all.push(panel(described, all.len() + 1, place));
            x += described.width;
        }
        y += row.height;
    }
    all
}

fn panel(described: &Panel, id: usize, place: Value) -> Value {
    let targets: Vec<Value> = ('A'..).zip(&described.queries).map(target).collect();
    let (kind, custom, options) = look(described);
    let mut defaults = json!({
        "unit": described.unit, "min": 0, "color": {"mode": colours(described)}, "custom": custom,
        "thresholds": {"mode": "absolute", "steps": steps(described.steps)},
        "mappings": mappings(&described.words),
    });
    if let Some(max) = described.max {
        defaults["max"] = json!(max);
    }
    json!({
        "id": id, "type": kind, "title": described.title, "description": described.about, "datasource": source(),
        "gridPos": place, "targets": targets, "options": options,
        "fieldConfig": {"defaults": defaults, "overrides": []},
    })
}

fn target((letter, [legend, query]): (char, &[String; 2])) -> Value {
    json!({
        "refId": letter.to_string(), "datasource": source(), "editorMode": "code", "expr": query, "legendFormat": legend,
        "range": true,
    })
}

/// A panel's type, and what only that type has.
fn look(described: &Panel) -> (&'static str, Value, Value) {
    let legend = json!({"showLegend": true, "displayMode": "list", "placement": "bottom", "calcs": []});
    let tooltip = json!({"mode": "multi", "sort": "desc"});
    match described.kind {
        Kind::Lines => {
            let style = if described.steps.is_some() { "dashed" } else { "off" };
            let custom = json!({
                "drawStyle": "line", "lineWidth": 1, "fillOpacity": 8, "showPoints": "never",
                "thresholdsStyle": {"mode": style},
            });
            ("timeseries", custom, json!({"legend": legend, "tooltip": tooltip}))
        }
        Kind::Number => {
            let options = json!({
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
                "colorMode": "value", "graphMode": "area", "justifyMode": "auto", "orientation": "auto", "textMode": "auto",
                "wideLayout": true, "showPercentChange": false, "percentChangeColorMode": "standard",
            });
            ("stat", json!({}), options)
        }
        Kind::States => {
            let options = json!({
                "mergeValues": true, "showValue": "auto", "alignValue": "left", "rowHeight": 0.8, "legend": legend,
                "tooltip": tooltip,
            });
            ("state-timeline", json!({"fillOpacity": 70, "lineWidth": 0}), options)
        }
    }
}

fn colours(described: &Panel) -> &'static str {
    if described.kind == Kind::Lines { "palette-classic" } else { "thresholds" }
}

fn steps(steps: Option<[f64; 2]>) -> Value {
    let first = json!({"color": "green", "value": null});
    match steps {
        Some([yellow, red]) => {
            json!([first, {"color": "yellow", "value": yellow}, {"color": "red", "value": red}])
        }
        None => json!([first]),
    }
}

fn mappings(words: &[(i64, String, String)]) -> Value {
    if words.is_empty() {
        return json!([]);
    }
    let options: serde_json::Map<String, Value> = words
        .iter()
        .enumerate()
        .map(|(index, (value, text, color))| {
            (value.to_string(), json!({"index": index, "text": text, "color": color}))
        })
        .collect();
    json!([{"type": "value", "options": options}])
}
