"""Turns the arguments of operators and command line into the requests that the Rust core reads, and checks them."""
