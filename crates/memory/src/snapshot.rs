//! All tables as a file of JSON lines: a head, then for each table its name and columns and a line
//! for each row (an array of texts, `null` for NULL), and at the end how many rows there were, so
//! that a file that was cut short is noticed.
//!
//! ```text
//! {"flywheel memory snapshot":1}
//! {"table":"public.sessions","columns":["token","user_id"]}
//! ["abc","17"]
//! {"rows":1}
//! ```

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::rows::{Fields, Rows};

/// The head's key, and the number of this form of the file.
const HEAD: &str = "flywheel memory snapshot";
const FORM: u64 = 1;

/// The tables as a file's content.
pub(crate) fn encode(tables: &HashMap<String, Rows>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut line = |json: &Json| {
        out.extend_from_slice(json.to_string().as_bytes());
        out.push(b'\n');
    };
    line(&json!({ HEAD: FORM }));
    let mut names: Vec<&String> = tables.keys().collect();
    names.sort_unstable();
    let mut count = 0_u64;
    for name in names {
        let rows = &tables[name];
        line(&json!({ "table": name, "columns": rows.columns }));
        for fields in rows.all() {
            line(&json!(fields));
            count += 1;
        }
    }
    line(&json!({ "rows": count }));
    out
}

/// Puts `content` in the place of the file at `path`, so that at any time either the old or the new
/// one is there, whole.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    // The rename is durable when its directory is; where a directory can't be opened (Windows)
    // there is nothing to do.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Ok(directory) = File::open(directory.unwrap_or_else(|| Path::new("."))) {
        directory.sync_all()?;
    }
    Ok(())
}

/// The tables of the file at `path`; none when there is no file.
pub(crate) fn load(path: &Path) -> io::Result<HashMap<String, Rows>> {
    let file = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(at(path, None, &error.to_string(), error.kind())),
    };
    let mut reader = Reader::default();
    for (number, line) in (1..).zip(file.split(b'\n')) {
        let line =
            line.map_err(|error| at(path, Some(number), &error.to_string(), error.kind()))?;
        reader
            .line(&line)
            .map_err(|problem| at(path, Some(number), &problem, io::ErrorKind::InvalidData))?;
    }
    if !reader.ended {
        return Err(at(
            path,
            None,
            "the file ends before its last line",
            io::ErrorKind::InvalidData,
        ));
    }
    reader.close_table();
    Ok(reader.tables)
}

fn at(path: &Path, line: Option<u64>, problem: &str, kind: io::ErrorKind) -> io::Error {
    let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
    io::Error::new(kind, format!("memory snapshot {}{line}: {problem}", path.display()))
}

/// What was read of a file so far.
#[derive(Default)]
struct Reader {
    begun: bool,
    ended: bool,
    tables: HashMap<String, Rows>,
    table: Option<(String, Vec<String>, Vec<Fields>)>,
    rows: u64,
}

impl Reader {
    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let json: Json =
            serde_json::from_slice(line).map_err(|error| format!("not JSON: {error}"))?;
        if !self.begun {
            self.begun = json[HEAD] == json!(FORM);
            return if self.begun { Ok(()) } else { Err(format!("not a snapshot of form {FORM}")) };
        }
        if self.ended {
            return Err("a line after the last".into());
        }
        match json {
            Json::Array(values) => self.row(values),
            Json::Object(mut object) => {
                if let Some(count) = object.get("rows") {
                    self.ended = *count == json!(self.rows);
                    let differs = || format!("{count} rows expected, {} read", self.rows);
                    return if self.ended { Ok(()) } else { Err(differs()) };
                }
                match (object.remove("table"), object.remove("columns")) {
                    (Some(Json::String(name)), Some(Json::Array(columns))) => {
                        self.open_table(name, columns)
                    }
                    _ => Err("neither a table nor a count of rows".into()),
                }
            }
            _ => Err("neither a table nor a row".into()),
        }
    }

    fn open_table(&mut self, name: String, columns: Vec<Json>) -> Result<(), String> {
        self.close_table();
        if self.tables.contains_key(&name) {
            return Err(format!("table {name} comes twice"));
        }
        let columns = columns.into_iter().map(|column| match column {
            Json::String(column) => Ok(column),
            other => Err(format!("{other} isn't a column's name")),
        });
        self.table = Some((name, columns.collect::<Result<_, _>>()?, Vec::new()));
        Ok(())
    }

    fn close_table(&mut self) {
        if let Some((name, columns, rows)) = self.table.take() {
            self.tables.insert(name, Rows::loaded(columns, rows));
        }
    }

    fn row(&mut self, values: Vec<Json>) -> Result<(), String> {
        let Some((_, columns, rows)) = &mut self.table else {
            return Err("a row before the first table".into());
        };
        if values.len() > columns.len() {
            return Err(format!("a row of {} values, for {} columns", values.len(), columns.len()));
        }
        let fields = values.into_iter().map(|value| match value {
            Json::Null => Ok(None),
            Json::String(text) => Ok(Some(text.into_boxed_str())),
            other => Err(format!("{other} is neither a text nor null")),
        });
        rows.push(fields.collect::<Result<_, _>>()?);
        self.rows += 1;
        Ok(())
    }
}
