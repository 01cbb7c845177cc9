//! What the observers for `tracing` and `metrics` export: names and numbers, never a vary value.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::events::{BypassReason, MetricsObserver, TracingObserver};
use crate::sync::Mutex;
use crate::testing::MemoryStore;
use crate::{FarLevel, Fragment, FragmentCache, fragment_key};

/// One of each: a miss, a store, a hit, a bypass, a deletion, a refusal.
fn live(cache: &FragmentCache) {
    let fragment = Fragment::new(fragment_key!("row", "secret"));
    for _ in 0..2 {
        cache.render(&fragment, || "<td>").unwrap();
    }
    cache.render(fragment.clone().unless(true), || "<td>").unwrap();
    cache.delete(fragment.key()).eventually();
    let large = Fragment::new(fragment_key!("large"));
    cache.render(&large, || "x".repeat(2_000_000)).unwrap();
}

#[test]
fn metrics_count_by_name_and_never_by_vary_value() {
    use metrics_util::debugging::{DebugValue, DebuggingRecorder};

    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        live(&FragmentCache::builder().observer(MetricsObserver).build().unwrap());
    });
    let mut lines: Vec<String> = snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, _, _, value)| {
            let (name, labels) = key.key().clone().into_parts();
            let mut line = name.as_str().to_owned();
            for label in labels {
                write!(line, " {}={}", label.key(), label.value()).unwrap();
            }
            let written = match value {
                DebugValue::Counter(count) => write!(line, " {count}"),
                DebugValue::Histogram(samples) => write!(line, " {} samples", samples.len()),
                DebugValue::Gauge(_) => panic!("no gauge is documented"),
            };
            written.unwrap();
            line
        })
        .collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            "fragcache_body_bytes kind=fragment fragment=row 1 samples",
            "fragcache_deletions_total kind=fragment fragment=row 1",
            "fragcache_lookups_total kind=fragment fragment=large result=miss reason=cold 1",
            "fragcache_lookups_total kind=fragment fragment=row result=bypass reason=unless 1",
            "fragcache_lookups_total kind=fragment fragment=row result=hit 1",
            "fragcache_lookups_total kind=fragment fragment=row result=miss reason=cold 1",
            "fragcache_refusals_total kind=fragment fragment=large reason=body_too_large 1",
            "fragcache_render_seconds kind=fragment fragment=row 1 samples",
            "fragcache_stores_total kind=fragment fragment=row 1",
        ]
    );
}

#[test]
fn gauges_show_the_near_level_and_the_store() {
    use metrics_util::debugging::{DebugValue, DebuggingRecorder};

    let gauges = |cache: &FragmentCache| {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        metrics::with_local_recorder(&recorder, || cache.record_metrics("pages"));
        let read = |(key, _, _, value): (metrics_util::CompositeKey, _, _, DebugValue)| {
            let labels: Vec<_> = key.key().labels().map(|l| l.value().to_owned()).collect();
            assert_eq!(labels, ["pages"]);
            let DebugValue::Gauge(value) = value else { panic!("{key:?} is no gauge") };
            (key.key().name().to_owned(), value.into_inner())
        };
        snapshotter.snapshot().into_vec().into_iter().map(read).collect::<HashMap<_, _>>()
    };
    let cache = FragmentCache::in_memory();
    live(&cache);
    let near = gauges(&cache);
    assert_eq!(near.len(), 2, "no store, no gauges of one: {near:?}");
    assert!(near["fragcache_bytes"] > 0.0 || near["fragcache_entries"] == 0.0);

    let store = MemoryStore::new();
    let cache = FragmentCache::builder().far(FarLevel::new(store)).build().unwrap();
    cache.render(Fragment::new(fragment_key!("row")), || "<td>").unwrap();
    let both = gauges(&cache);
    assert_eq!(both["fragcache_entries"], 1.0);
    assert_eq!(both["fragcache_store_reachable"], 1.0);
    assert_eq!(both["fragcache_store_pending_invalidations"], 0.0);
    assert!(both["fragcache_store_round_trips"] >= 2.0);
}

/// There are as many keys of values as values.
#[cfg(feature = "values")]
#[test]
fn metrics_of_values_have_a_bounded_number_of_series() {
    use metrics_util::debugging::DebuggingRecorder;

    let series = |values: u32| {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        metrics::with_local_recorder(&recorder, || {
            let cache = FragmentCache::builder().observer(MetricsObserver).build().unwrap();
            for key in 0..values {
                let key = format!("key-{key}");
                assert_eq!(cache.values().get::<u32>(&*key), None);
                cache.values().set(&*key, &1_u32).unwrap();
                assert_eq!(cache.values().get::<u32>(&*key), Some(1));
                cache.values().delete(&*key).eventually();
            }
        });
        let line = |(key, ..): (metrics_util::CompositeKey, _, _, _)| {
            let labels = key.key().labels().map(|l| format!(" {}={}", l.key(), l.value()));
            format!("{}{}", key.key().name(), labels.collect::<String>())
        };
        let mut series: Vec<String> =
            snapshotter.snapshot().into_vec().into_iter().map(line).collect();
        series.sort();
        series
    };
    assert_eq!(
        series(100),
        [
            "fragcache_body_bytes kind=value",
            "fragcache_deletions_total kind=value",
            "fragcache_lookups_total kind=value result=hit",
            "fragcache_lookups_total kind=value result=miss reason=cold",
            "fragcache_render_seconds kind=value",
            "fragcache_stores_total kind=value",
        ]
    );
}

/// Records every event with its fields, one line each.
#[derive(Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Fields(String);

impl tracing::field::Visit for Fields {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        // Times differ from run to run.
        if field.name() == "render_us" {
            self.0.push_str(" render_us");
        } else {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }
}

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "fragcache"
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = Fields(event.metadata().level().to_string());
        event.record(&mut fields);
        self.0.lock().push(fields.0);
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// The log of this thread while `run` runs.
pub(crate) fn logged(run: impl FnOnce()) -> Vec<String> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    tracing::subscriber::with_default(Lines(Arc::clone(&lines)), run);
    let lines = lines.lock();
    lines.clone()
}

#[test]
fn tracing_has_each_event_without_vary_values() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    tracing::subscriber::with_default(Lines(Arc::clone(&lines)), || {
        live(&FragmentCache::builder().observer(TracingObserver).build().unwrap());
    });
    let lines = lines.lock().clone();
    assert!(lines.iter().all(|line| !line.contains("secret")), "{lines:#?}");
    assert_eq!(
        lines,
        [
            r#"TRACE message=miss line=0 fragment="row" reason="cold""#,
            r#"TRACE message=stored line=0 fragment="row" bytes=4 render_us"#,
            r#"TRACE message=hit line=0 fragment="row""#,
            r#"DEBUG message=bypassed line=0 fragment="row" reason="unless""#,
            r#"DEBUG message=deleted line=0 fragment="row""#,
            r#"TRACE message=miss line=0 fragment="large" reason="cold""#,
            r#"WARN message=refused line=0 fragment="large" reason="body_too_large""#,
        ]
    );
}

/// Clients invent such names.
#[cfg(feature = "async")]
#[test]
fn the_header_that_makes_a_request_bypass_a_view_is_logged_and_is_no_label() {
    use metrics_util::debugging::DebuggingRecorder;

    let bypass = |builder: crate::CacheBuilder, header: &str| {
        let cache = builder.build().unwrap();
        crate::engine::bypass_view(&cache, "film", BypassReason::Private, Some(header));
    };
    let lines = logged(|| bypass(FragmentCache::builder().observer(TracingObserver), "x-user"));
    let told = r#"DEBUG message=bypassed line=0 fragment="film" reason="private" header="x-user""#;
    assert_eq!(lines, [told]);

    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let headers = (0..100).map(|number| format!("x-user-{number}"));
        headers.for_each(|header| {
            bypass(FragmentCache::builder().observer(MetricsObserver), &header);
        });
    });
    let series = snapshotter.snapshot().into_vec();
    let labels: Vec<_> = series[0].0.key().labels().map(|l| l.value().to_owned()).collect();
    assert_eq!(
        (series.len(), labels),
        (1, ["view", "film", "bypass", "private"].map(String::from).to_vec())
    );
}

#[cfg(all(feature = "mac", feature = "values"))]
#[test]
fn tracing_shows_digests_of_opaque_keys_and_metrics_kinds() {
    use metrics_util::debugging::DebuggingRecorder;

    let live = |builder: crate::CacheBuilder| {
        let cache = builder.opaque_keys([7; 32]).build().unwrap();
        live(&cache);
        cache.values().set("secret", &3).unwrap();
        cache.values().get::<i32>("secret");
        cache.shown_key(&cache.values().key("secret")).to_string()
    };
    let lines = Arc::new(Mutex::new(Vec::new()));
    let told = tracing::subscriber::with_default(Lines(Arc::clone(&lines)), || {
        live(FragmentCache::builder().observer(TracingObserver))
    });
    let lines = lines.lock().join("\n");
    assert!(lines.contains(&told) && !lines.contains("secret"), "{lines}");

    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let told = metrics::with_local_recorder(&recorder, || {
        live(FragmentCache::builder().observer(MetricsObserver))
    });
    let metrics = format!("{:?}", snapshotter.snapshot().into_vec());
    assert!(!metrics.contains(&told) && !metrics.contains("secret"), "{metrics}");
}
