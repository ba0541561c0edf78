"""What the Rust core is asked for: the arguments of operators and command line, checked, as the requests it reads."""
