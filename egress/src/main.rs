//! See `egress`.

fn main() -> std::process::ExitCode {
    egress::cli::main()
}
