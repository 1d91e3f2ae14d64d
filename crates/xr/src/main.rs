//! The `xr` binary.

fn main() -> std::process::ExitCode {
    xr::main()
}
