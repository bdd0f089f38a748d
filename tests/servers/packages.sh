# The Debian packages that the tests need. Only those are installed whose command is missing.

has() { command -v "$1" >/dev/null 2>&1; }

has_postgres() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && has psql; }

has_java() {
    local major
    major=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p') || return 1
    # DynamoDB Local 2 is compiled for Java 17.
    [[ -n $major && $major -ge 17 ]]
}

# Debian splits these two off from Python; without them a virtual environment has no pip.
has_venv() { python3 -c 'import ensurepip, venv' >/dev/null 2>&1; }

ensure_packages() {
    local missing=()
    has cc || missing+=(gcc libc6-dev)
    has_postgres || missing+=(postgresql postgresql-client)
    { has redis-server && has redis-cli; } || missing+=(redis-server)
    has openssl || missing+=(openssl)
    # With its compiler, for a driver's script.
    { has_java && has javac; } || missing+=(default-jdk-headless)
    [[ -e /usr/share/java/postgresql.jar ]] || missing+=(libpostgresql-jdbc-java)
    has go || missing+=(golang-go)
    [[ -d /usr/share/gocode/src/github.com/lib/pq ]] || missing+=(golang-github-lib-pq-dev)
    has node || missing+=(nodejs)
    has npm || missing+=(npm)
    has_venv || missing+=(python3 python3-venv)
    if ((${#missing[@]} > 0)); then install_packages "${missing[@]}"; fi
}

install_packages() {
    local as_root=()
    if ((EUID != 0)); then
        { has sudo && sudo -n true 2>/dev/null; } || die "please install: $*"
        as_root=(sudo -n)
    fi
    has apt-get || die "please install what corresponds to Debian's packages: $*"
    say "test: installing $*"
    "${as_root[@]}" apt-get update -qq >&2
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null >&2
}
