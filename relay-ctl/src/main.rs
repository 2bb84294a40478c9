//! See `relay_ctl`.

fn main() -> std::process::ExitCode {
    relay_ctl::cli::main()
}
