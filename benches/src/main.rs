//! The `chat-load` program.

fn main() -> std::process::ExitCode {
    chat_bench::cli::run()
}
