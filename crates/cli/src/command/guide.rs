//! `flywheel guide`: the guide in the terminal.

use std::process::ExitCode;

use super::say;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The chapter. Without one, all chapters are listed.
    chapter: Option<String>,
}

pub(crate) fn guide(arguments: &Arguments) -> ExitCode {
    let Some(name) = &arguments.chapter else {
        say(&format!("flywheel guide CHAPTER\n\n{}", flywheel_guide::contents()));
        return ExitCode::SUCCESS;
    };
    match flywheel_guide::chapter(name) {
        Some(chapter) => {
            say(chapter.text.trim_end());
            ExitCode::SUCCESS
        }
        None => {
            eprintln!(
                "flywheel: there is no chapter \"{name}\"; the chapters are\n\n{}",
                flywheel_guide::contents()
            );
            ExitCode::FAILURE
        }
    }
}
