//! What the gateway tells Prometheus, read as strictly as Prometheus does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::World;

/// Long, since how fast an answer comes isn't what these tests measure.
const PATIENCE: Duration = Duration::from_secs(120);

/// An answer over HTTP.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Headers, their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

/// The figures of one scrape: each sample by its name and labels, as they are written.
#[derive(Debug)]
pub struct Scrape {
    samples: BTreeMap<String, f64>,
}

/// Where a gateway tells its metrics.
pub fn address(world: &World) -> String {
    let log = world.process().log();
    let told = log.iter().find_map(|line| line.split_once("metrics at http://"));
    let (_, rest) = told.expect("a gateway that tells metrics");
    rest.split('/').next().unwrap_or_default().to_owned()
}

/// A whole request as it goes over the wire, and the answer.
pub async fn exchange(address: &str, request: &str) -> Response {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    // A request that is refused before it is whole may not be taken whole.
    let _ = stream.write_all(request.as_bytes()).await;
    answer(&mut stream).await
}

/// What comes until the connection is closed.
pub async fn answer(stream: &mut TcpStream) -> Response {
    let mut read = Vec::new();
    let done = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut read)).await;
    // It may be reset behind its answer.
    let _ = done.expect("an answer that ends");
    let text = String::from_utf8(read).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").expect("a header");
        (name.to_lowercase(), value.to_owned())
    };
    Response {
        status: status.expect("a status"),
        headers: lines.map(header).collect(),
        body: body.to_owned(),
    }
}

/// GET of a path.
pub async fn get(address: &str, path: &str) -> Response {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")).await
}

impl Scrape {
    /// The figures now.
    pub async fn of(world: &World) -> Self {
        let response = get(&address(world), "/metrics").await;
        assert_eq!(response.status, 200, "{response:?}");
        Self::open_metrics(&response.body)
    }

    /// Reads OpenMetrics 1.0.0 text: <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
    pub fn open_metrics(text: &str) -> Self {
        let body = text
            .strip_suffix("# EOF\n")
            .unwrap_or_else(|| panic!("no # EOF at the end of\n{text}"));
        Self::read(body, true)
    }

    /// Reads Prometheus' text format 0.0.4.
    pub fn plain(text: &str) -> Self {
        assert!(!text.contains("# EOF"), "{text}");
        Self::read(text, false)
    }

    fn read(text: &str, is_open: bool) -> Self {
        let mut samples = BTreeMap::new();
        let mut families = BTreeSet::new();
        // Name, type and unit of the family that the samples belong to, and whether it has a HELP.
        let (mut family, mut kind, mut unit, mut helped) =
            (String::new(), String::new(), None, false);
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) =
                    rest.split_once(' ').unwrap_or_else(|| panic!("no help: {line}"));
                assert!(
                    !help.is_empty() && families.insert(name.to_owned()),
                    "a family comes once, with help: {line}"
                );
                (family, kind, unit, helped) = (name.to_owned(), String::new(), None, true);
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, ty) = rest.split_once(' ').unwrap_or_else(|| panic!("no type: {line}"));
                assert!(
                    helped && name == family && kind.is_empty(),
                    "a TYPE behind its HELP: {line}"
                );
                kind = ty.to_owned();
                assert!(
                    name.bytes().all(|byte| byte.is_ascii_lowercase()
                        || byte.is_ascii_digit()
                        || byte == b'_'),
                    "{name}"
                );
            } else if let Some(rest) = line.strip_prefix("# UNIT ") {
                let (name, of) = rest.split_once(' ').unwrap_or_else(|| panic!("no unit: {line}"));
                assert!(is_open && name == family && name.ends_with(&format!("_{of}")), "{line}");
                unit = Some(of.to_owned());
            } else {
                let (series, value) =
                    line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
                let name = series.split('{').next().unwrap_or_default();
                let suffix = name
                    .strip_prefix(family.as_str())
                    .unwrap_or_else(|| panic!("{line} isn't of {family}"));
                let fits = match (kind.as_str(), is_open) {
                    ("counter", true) => suffix == "_total",
                    ("counter", false) => suffix.is_empty() && name.ends_with("_total"),
                    ("info", true) => suffix == "_info",
                    ("gauge", _) => suffix.is_empty(),
                    ("histogram", _) => matches!(suffix, "_bucket" | "_sum" | "_count"),
                    _ => false,
                };
                assert!(fits, "{line} isn't of a {kind}");
                // Base units, in the name.
                assert!(
                    !name.ends_with("_ms")
                        && !name.contains("milliseconds")
                        && !name.contains("kilobytes"),
                    "{name}"
                );
                let in_bytes = name.ends_with("_bytes") || name.ends_with("_seconds");
                assert!(
                    !is_open || kind == "histogram" || in_bytes == unit.is_some(),
                    "{line} has the unit {unit:?}"
                );
                let value: f64 = value.parse().unwrap_or_else(|_| panic!("no figure: {line}"));
                assert!(value >= 0.0, "{line}");
                assert!(
                    samples.insert(series.to_owned(), value).is_none(),
                    "it comes twice: {line}"
                );
            }
        }
        let scrape = Self { samples };
        scrape.check_histograms();
        scrape
    }

    /// Buckets grow, and the last has all.
    fn check_histograms(&self) {
        for (series, count) in self.samples.iter().filter(|(series, _)| series.contains("_count{"))
        {
            let labels = series.split_once('{').map_or("", |(_, labels)| labels);
            let name = series.split("_count{").next().unwrap_or_default();
            let start = format!("{name}_bucket{{");
            let of = |(bucket, value): (&String, &f64)| {
                // It stands before the other labels, or behind them.
                let (before, rest) = bucket.strip_prefix(&start)?.split_once("le=\"")?;
                let (end, rest) = rest.split_once('"')?;
                let others = format!("{before}{}", rest.trim_start_matches(',')).replace(",}", "}");
                (others == labels).then(|| {
                    (
                        if end == "+Inf" { f64::INFINITY } else { end.parse().expect("an end") },
                        *value,
                    )
                })
            };
            let mut buckets: Vec<(f64, f64)> = self.samples.iter().filter_map(of).collect();
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            assert!(buckets.is_sorted_by(|one, other| one.1 <= other.1), "{series}: {buckets:?}");
            assert_eq!(buckets.last(), Some(&(f64::INFINITY, *count)), "{series}");
        }
    }

    /// A sample by its name and labels, as it is written. `None`: there is none.
    pub fn find(&self, series: &str) -> Option<f64> {
        self.samples.get(series).copied()
    }

    /// A sample that there is.
    pub fn value(&self, series: &str) -> f64 {
        self.find(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.samples.keys()))
    }

    /// The samples of this name.
    pub fn named<'s>(&'s self, name: &'s str) -> impl Iterator<Item = (&'s str, f64)> {
        let is_of = move |series: &str| {
            series.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
        };
        let all = self.samples.iter().map(|(series, value)| (series.as_str(), *value));
        all.filter(move |(series, _)| is_of(series))
    }

    /// By how much the samples of a name have grown since another scrape; those that haven't are
    /// left out.
    pub fn grown(&self, since: &Self, name: &str) -> Vec<(String, f64)> {
        let growth = |(series, value): (&str, f64)| {
            (series[name.len()..].to_owned(), value - since.find(series).unwrap_or_default())
        };
        self.named(name).map(growth).filter(|(_, growth)| *growth != 0.0).collect()
    }
}
