#!/bin/sh
# Train, export and check models one after another, at low priority; run again to resume.
#   queue.sh PYTHON SCRATCH NAME...
# SCRATCH holds data/ (see srtrain.prepare) and runs/. While the file $PAUSE_FILE exists, training sleeps. $THREADS and
# $CHECKPOINT_EVERY (seconds) are passed on.
set -eu
cd "$(dirname "$0")"
python=$1 scratch=$2
shift 2
export OMP_WAIT_POLICY=PASSIVE # a spinning barrier wastes minutes when the processor is shared
for name; do
    nice -n 15 "$python" -m srtrain.train "configs/$name.yaml" --data "$scratch/data" --runs "$scratch/runs" \
        --threads "${THREADS:-1}" --checkpoint-every "${CHECKPOINT_EVERY:-240}" ${PAUSE_FILE:+--pause-file "$PAUSE_FILE"} >>"$scratch/$name.log" 2>&1
    if "$python" -m srtrain.export "configs/$name.yaml" --runs "$scratch/runs"; then
        "$python" -m srtrain.check "configs/$name.yaml" --runs "$scratch/runs"
    fi
done
