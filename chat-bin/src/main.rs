//! The `chat` program.

fn main() -> std::process::ExitCode {
    chat_bin::cli::run()
}
