//! Flywheel's guide: for those who run it and write SQL against it.
//!
//! The chapters are Markdown files in `chapters/`. Each is a module here, so `cargo doc` shows it;
//! `flywheel guide` prints it in the terminal. `tests/e2e/guide.rs` runs the snippets, and
//! `tests/reference.rs` makes the reference of the configuration from its schema.

/// A chapter of the guide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chapter {
    /// The name by which it is asked for, as its file's.
    pub name: &'static str,
    /// The whole chapter, as Markdown that begins with a heading.
    pub text: &'static str,
}

impl Chapter {
    /// The heading.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default().trim_start_matches(['#', ' '])
    }
}

/// A module and an entry of [`CHAPTERS`] for each chapter.
macro_rules! chapters {
    ($($module:ident = $name:literal),* $(,)?) => {
        $(
            #[doc = include_str!(concat!("../chapters/", $name, ".md"))]
            pub mod $module {}
        )*

        /// All chapters, in the order in which they are best read.
        pub const CHAPTERS: &[Chapter] = &[
            $(Chapter {
                name: $name,
                text: include_str!(concat!("../chapters/", $name, ".md")),
            }),*
        ];
    };
}

chapters! {
    getting_started = "getting-started",
    configuration = "configuration",
    pooling = "pooling",
    store_tables = "store-tables",
    dynamodb = "dynamodb",
    redis = "redis",
    cache = "cache",
    gateways = "gateways",
    moving_tables = "moving-tables",
    operations = "operations",
    security = "security",
}

/// The chapter of this name.
#[must_use]
pub fn chapter(name: &str) -> Option<&'static Chapter> {
    CHAPTERS.iter().find(|chapter| chapter.name == name)
}

/// The names and titles of all chapters, a line each.
#[must_use]
pub fn contents() -> String {
    let width = CHAPTERS.iter().map(|chapter| chapter.name.len()).max().unwrap_or_default();
    let lines: Vec<_> = CHAPTERS
        .iter()
        .map(|chapter| format!("  {:width$}  {}", chapter.name, chapter.title()))
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::{CHAPTERS, chapter, contents};

    #[test]
    fn every_chapter_begins_with_its_title() {
        for chapter in CHAPTERS {
            assert!(chapter.text.starts_with("# "), "{}", chapter.name);
            assert!(contents().contains(chapter.title()), "{}", chapter.name);
        }
    }

    #[test]
    fn every_file_is_a_chapter() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/chapters");
        for file in std::fs::read_dir(folder).expect("the folder") {
            let path = file.expect("a file").path();
            let name = path.file_stem().and_then(|name| name.to_str()).expect("its name");
            assert!(chapter(name).is_some(), "{name} isn't listed");
        }
    }

    #[test]
    fn lines_are_of_100_columns() {
        let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
        let readme = std::fs::read_to_string(readme).expect("README");
        let chapters = CHAPTERS.iter().map(|chapter| (chapter.name, chapter.text));
        for (name, text) in chapters.chain([("README", readme.as_str())]) {
            let mut fenced = false;
            for (number, line) in text.lines().enumerate() {
                fenced ^= line.starts_with("```");
                // Output and tables can't be wrapped.
                let free = fenced || line.starts_with('|');
                let place = format!("{name}.md:{}", number + 1);
                assert!(free || line.chars().count() <= 100, "{place}: {line}");
            }
        }
    }
}
