"""Training of `UNetMatting`: photos with alphas in, a checkpoint out.

`python -m training --config configs/train.yaml --data DATA --out RUN`
"""
