#!/usr/bin/env bash
# Ablations as a Slurm array, a job each; the base first, since all others are compared with it:
#
#     base=$(sbatch --parsable --array=0 cluster/slurm.sh REPOSITORY DATASET base)
#     sbatch --dependency=afterok:$base --array=0-3%2 cluster/slurm.sh REPOSITORY DATASET NAME1 NAME2 NAME3 NAME4
#
# Started from a checkout with its environment, on a file system that all machines have. --requeue: a job whose machine
# was lost is started again, and goes on from the stages that are in the cache.
#SBATCH --job-name=ablation
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --gres=gpu:1
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --output=%x-%A-%a.log
set -euo pipefail
repository=$1 dataset=$2
shift 2
names=("$@")
export PATH="$PWD/.venv/bin:$PATH" VAD_CACHE="${VAD_CACHE:-$PWD/.dvc/cache}"
exec cluster/job "$repository" "$dataset" "${names[$SLURM_ARRAY_TASK_ID]}"
