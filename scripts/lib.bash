# Shared by the scripts in this folder; sourced, not run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '\n== %s\n' "$*"; }

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# Prints the comment block at the top of the calling script.
usage() { sed -n '2,/^[^#]/{/^#/!q;s/^# \{0,1\}//;p}' "$0"; }

now_ms() { date +%s%3N; }

# Milliseconds as seconds with one decimal.
seconds() { printf '%d.%d' $(($1 / 1000)) $(($1 % 1000 / 100)); }

# The number of field $2 in the JSON object $1 (one line, flat or nested; the last match counts).
json_number() { sed -n "s/.*\"$2\":\(-\{0,1\}[0-9][0-9.eE+-]*\).*/\1/p" <<<"$1" | head -n 1; }

# The text of field $2 in the JSON object $1; the first match counts.
json_text() { grep -o "\"$2\":\"[^\"]*\"" <<<"$1" | head -n 1 | cut -d '"' -f 4; }

# built_modules FOLDER: sets `modules` to the compiler's flags that find the modules built there.
built_modules() {
  modules=(-I "$1/Modules" -I "$root/Sources/CVecDBShims" -I "$root/Sources/CVecDBSQLite")
  local map
  # The modules of dependencies written in C.
  while IFS= read -r map; do
    modules+=(-Xcc "-fmodule-map-file=$map")
  done < <(
    find -L "$1" -maxdepth 2 -path '*.build/module.modulemap'
    find -L "$root/.build/checkouts" -path '*/Sources/*/include/module.modulemap'
  )
}

# Installs what building needs, if it is missing and apt is there.
install_needs() {
  local missing=()
  [ -e /usr/include/sqlite3.h ] || missing+=(libsqlite3-dev)
  command -v pkg-config >/dev/null || missing+=(pkg-config)
  command -v gzip >/dev/null || missing+=(gzip)
  [ ${#missing[@]} -eq 0 ] && return
  command -v apt-get >/dev/null || die "please install: ${missing[*]}"
  local sudo=()
  [ "$(id -u)" = 0 ] || sudo=(sudo)
  say "installing ${missing[*]}"
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
}

# authority NAME and certificate NAME AUTHORITY FILE, as in the article on standbys: they leave
# NAME.pem and NAME.key, and FILE.pem and FILE.key, in the working directory.
authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$1.key" \
    -out "$1.pem" -days 3650 -subj "/CN=$1" 2>/dev/null
}
certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$3.key" \
    -out "$3.csr" -subj "/CN=$1" 2>/dev/null
  openssl x509 -req -in "$3.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -out "$3.pem" \
    -days 365 -extfile <(printf 'subjectAltName=DNS:%s' "$1") 2>/dev/null
}

# build_release ARGUMENT…: a release build in the working directory; its output is shown only if it fails.
build_release() {
  local output
  output=$(swift build -c release "$@" 2>&1) || { printf '%s\n' "$output" >&2; die 'the build failed'; }
}

# npy_header ROWS COLUMNS TYPE: the header of a NumPy file, to be followed by the rows.
npy_header() {
  local text="{'descr': '$3', 'fortran_order': False, 'shape': ($1, $2), }"
  # Magic and length are 10 bytes; all together must be a multiple of 64.
  local length=$(((${#text} + 10 + 1 + 63) / 64 * 64 - 10))
  printf '\x93NUMPY\x01\x00'
  printf "\\x$(printf %02x $((length & 255)))\\x$(printf %02x $((length >> 8)))"
  printf '%-*s\n' $((length - 1)) "$text"
}

# idx_images FILE.gz FIRST COUNT: rows of an MNIST image file (784 bytes each) as a .npy of uint8.
idx_images() {
  gzip -t "$1" || return
  npy_header "$3" 784 '|u1'
  # head ends the pipe early, which is no failure here.
  (set +o pipefail; gzip -dc "$1" | tail -c +$((17 + 784 * $2)) | head -c $((784 * $3)))
}

# idx_labels FILE.gz FIRST COUNT: labels of a Fashion-MNIST label file as lines of JSON metadata.
idx_labels() {
  gzip -t "$1" || return
  (set +o pipefail; gzip -dc "$1" | tail -c +$((9 + $2)) | head -c "$3") | od -An -v -tu1 -w1 | awk '
    BEGIN { split("T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot", class, ",") }
    { printf "{\"class\":\"%s\",\"label\":%d}\n", class[$1 + 1], $1 }'
}

# Sets base, labels, queries and rows to the data that is used: the full Fashion-MNIST of directory
# $1 (or VECDB_DATA, or ../shared/data) converted into directory $2, else the sample in the repository.
find_data() {
  local wanted=${1:-${VECDB_DATA:-}} target=$2 directory
  for directory in "$wanted" "$wanted/fashion-mnist" "$root/../shared/data/fashion-mnist" \
    /usr/share/datasets/fashion-mnist /usr/share/dataset-fashion-mnist; do
    [ -n "$directory" ] && [ -e "$directory/train-images-idx3-ubyte.gz" ] || continue
    rows=60000 data_name="fashion-mnist (60,000 x 784) from $directory"
    base=$target/fashion-mnist-base.npy labels=$target/fashion-mnist-labels.jsonl
    queries=$target/fashion-mnist-queries.npy
    mkdir -p "$target"
    if [ ! -e "$target/fashion-mnist.done" ]; then
      idx_images "$directory/train-images-idx3-ubyte.gz" 0 60000 >"$base"
      idx_labels "$directory/train-labels-idx1-ubyte.gz" 0 60000 >"$labels"
      idx_images "$directory/t10k-images-idx3-ubyte.gz" 0 1000 >"$queries"
      touch "$target/fashion-mnist.done"
    fi
    return
  done
  [ -z "$wanted" ] || die "there is no train-images-idx3-ubyte.gz in $wanted"
  rows=9500 data_name="the sample in the repository (fashion-mnist test images, 9,500 x 784)"
  base=$root/Benchmarks/Data/fashion-mnist-10k/base.npy.gz
  labels=$root/Benchmarks/Data/fashion-mnist-10k/labels.jsonl.gz
  queries=$root/Benchmarks/Data/fashion-mnist-10k/queries.npy.gz
}

# plain_data DIR ROWS WORK: as find_data, unpacked; sets base and queries to .npy files, and rows to
# ROWS or what there is.
plain_data() {
  local wanted=$2 work=$3 name
  find_data "$1" "$work"
  [ "$wanted" -ge "$rows" ] || rows=$wanted
  for name in base queries; do
    case ${!name} in
      *.gz)
        gzip -dc "${!name}" >"$work/$name.npy"
        printf -v "$name" %s "$work/$name.npy"
        ;;
    esac
  done
}

# A C compiler: the system's, or the one that comes with Swift.
cc=${CC:-$(command -v cc || command -v clang || echo cc)}
