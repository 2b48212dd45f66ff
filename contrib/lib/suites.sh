# Sourced by the scripts beside it, after host.sh: the runner of the tests, and the file system suites of others.

# provide_nextest: installs it where it is missing. What cargo installs need not be on the caller's PATH.
provide_nextest() {
    PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    command -v cargo-nextest >/dev/null || cargo install --locked cargo-nextest
}

# provide_suites: installs them, and says in SUITES where the tests find them.
provide_suites() {
    install_packages "stress-ng" "stress-ng"
    tools=$PWD/target/check/tools
    for tool in pjdfstest@0.2.2 fsx@0.3.2; do
        cargo install --locked --quiet --root "$tools" "$tool"
    done
    SUITES="RBUILD_TEST_PJDFSTEST=$1/suites/pjdfstest RBUILD_TEST_FSX=$1/suites/fsx RBUILD_TEST_STRESS_NG=$(command -v stress-ng)"
    # Where other users can read them.
    as_root install -D -t "$1/suites" "$tools/bin/pjdfstest" "$tools/bin/fsx"
}
