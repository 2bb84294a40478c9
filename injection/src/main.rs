//! See `injection`.

fn main() -> std::process::ExitCode {
    injection::cli::main()
}
