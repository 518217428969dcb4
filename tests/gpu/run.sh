#!/usr/bin/env bash
# What has to be run on a machine with one NVIDIA GPU: every test marked `gpu`, then the benchmark.
#
#     tests/gpu/run.sh [FOLDER [OPTION...]]     results in FOLDER (runs/gpu); options of gpu_wan.py
#
# It takes 25 minutes at most: MINUTES=25 changes that. It makes an environment and installs into it
# from a package registry; PYTHON names the interpreter, VENV the environment (one that is there is
# used as it is, so that nothing need be installed). WHEELS=FOLDER does without a registry: the
# interpreter's own packages stay, torch among them, and the folder's wheels come on top of them.
# DEVICE=cpu TINY=yes tries it without a GPU.
# Each part has a limit of its own, a part that fails is written down and the next one comes, and the
# same command goes on where it was stopped: `results.jsonl`, `results.md` and the logs are in FOLDER.
# Tests that passed there are not run again.
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
OUT=${1:-runs/gpu}
shift || true
PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv-gpu}
DEVICE=${DEVICE:-cuda}
MINUTES=${MINUTES:-25}
END=$((SECONDS + MINUTES * 60))
mkdir -p "$OUT"

say() { printf '\n==> [%4ds] %s\n' "$SECONDS" "$*"; }
left() { echo $((END - SECONDS)); }

say "the environment $VENV"
install() {
    "$PYTHON" -m venv "$VENV" || return
    if [[ -n ${WHEELS:-} ]]; then
        local site
        site=$("$VENV/bin/python" -c 'import site; print(site.getsitepackages()[0])') &&
            "$PYTHON" -c 'import site; print(*site.getsitepackages(), sep="\n")' >"$site/interpreter.pth" &&
            "$VENV/bin/pip" install -q --no-index --no-deps "$WHEELS"/*.whl
    else
        timeout 540 "$VENV/bin/pip" install -q -c constraints.txt -e ".[dev,sage]" -e plugins/sraccel-example
    fi
}
if [[ ! -x $VENV/bin/python ]] && ! install >"$OUT/install.log" 2>&1; then
    tail -5 "$OUT/install.log"
    echo "it cannot be installed: see $OUT/install.log"
    rm -f "$VENV/bin/python" # so that the same command tries again
    exit 1
fi
"$VENV/bin/python" - "$DEVICE" <<'PROBE' || exit 1
import sys, torch
if sys.argv[1] == "cuda" and not torch.cuda.is_available():
    sys.exit("no CUDA device is usable here: DEVICE=cpu TINY=yes tries the run without one")
print("torch", torch.__version__, torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU")
PROBE

say "tests marked gpu"
PASSED=0
if [[ -e $OUT/tests.passed ]]; then
    echo "they passed before: $OUT/tests.log"
else
    TESTS=$(( $(left) / 4 < 300 ? $(left) / 4 : 300 ))
    timeout -k 10 "$TESTS" "$VENV/bin/python" -m pytest -q -m gpu -p no:cacheprovider ${GPU_TESTS:-tests plugins} 2>&1 |
        tee "$OUT/tests.log" | tail -20
    PASSED=${PIPESTATUS[0]}
    if [[ $PASSED == 0 || $PASSED == 5 ]]; then
        PASSED=0
        touch "$OUT/tests.passed"
    else
        echo "tests failed or ran out of $TESTS s: see $OUT/tests.log"
    fi
fi

say "the benchmark"
REST=$(awk -v s="$(left)" 'BEGIN { printf "%.1f", (s - 30) / 60 }')
timeout -k 10 "$(left)" "$VENV/bin/python" tests/benchmarks/gpu_wan.py --out "$OUT" --device "$DEVICE" \
    --minutes "$REST" ${TINY:+--tiny} "$@"
MEASURED=$?

say "results: $OUT/results.md, $OUT/results.jsonl, $OUT/tests.log"
[[ $PASSED == 0 && $MEASURED == 0 ]]
