"""What XLA makes of the train step for an H100, without a card: kernels, bytes, cuDNN's convolutions.

    pip install ".[cuda12]"
    python experiments/gpu/compiled.py --forms=phases,stock,four_phases --out=experiments/gpu/compiled.json

Compiles the paper's step (256^2, 64 filters, batch 64) for a described device and counts, in the program's
outermost computation, what is launched, and the bytes that launches read and write (each operand and result
once: a lower bound of the traffic). Nothing runs, and cuDNN's algorithms are chosen on a card only: these are
no times.
"""

import argparse
import json
import os
import re
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["JAX_SKIP_CUDA_CONSTRAINTS_CHECK"] = "1"  # asks the driver, which is not there

import jax
import jax.numpy as jnp
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

from cosmogan_jax.emulators.dcgan.networks import Architecture, build_networks
from cosmogan_jax.emulators.dcgan.state import adam, init_state
from cosmogan_jax.emulators.dcgan.step_parts import StepSettings
from cosmogan_jax.emulators.dcgan.train_step import make_train_step
from cosmogan_jax.layers import convolutions

# NVIDIA's data sheet of the H100 SXM5 80 GB, and the limits of compute capability 9.0 (CUDA programming guide).
H100 = """
gpu_device_info {
  cuda_compute_capability { major: 9 }
  core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98
  device_memory_size: 84942979072 memory_bandwidth: 3352320000000 l2_cache_size: 52428800
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  shared_memory_per_block: 49152 shared_memory_per_core: 233472 shared_memory_per_block_optin: 232448
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 patch: 0 }
runtime_version { major: 12 minor: 8 patch: 0 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
_BYTES = {
    "f64": 8,
    "f32": 4,
    "f16": 2,
    "bf16": 2,
    "s64": 8,
    "u64": 8,
    "s32": 4,
    "u32": 4,
    "s8": 1,
    "u8": 1,
    "pred": 1,
}
# What moves no data: names for parts of what is there.
_FREE = {"parameter", "get-tuple-element", "tuple", "bitcast", "constant", "after-all", "opt-barrier"}


def counted(program: str) -> dict[str, float]:
    """Kernels, gigabytes and convolutions of a compiled program's text."""
    entry = program[program.index("\nENTRY ") :]
    entry = entry[: entry.index("\n}")]
    size, kernels, moved, kinds = {}, 0, 0, {}
    for line in entry.splitlines()[1:]:
        found = re.match(r"\s*(?:ROOT )?%?([\w.-]+) = (\([^=]*?\)|\S+) ([\w-]+)\((.*)", line)
        if not found:
            continue
        name, shape, operation, rest = found.groups()
        size[name] = _size(shape)
        if operation in _FREE:
            continue
        kernels += 1
        operands = re.findall(r"%([\w.-]+)", rest.split("), ")[0])
        moved += size[name] + sum(size.get(operand, 0) for operand in operands)
        if target := re.search(r'custom_call_target="__cudnn\$(\w+)"', line):
            kind = target[1] + (
                " with a kernel as large as the maps" if re.search(r"size=\d{2,}x", line) else ""
            )
            kinds[kind] = kinds.get(kind, 0) + 1
    return {"kernels": kernels, "GB": round(moved / 1e9, 2), **dict(sorted(kinds.items()))}


def _size(shape: str) -> int:
    total = 0
    for kind, dimensions in re.findall(r"(\w+)\[([\d,]*)\]", shape):
        count = 1
        for n in filter(None, dimensions.split(",")):
            count *= int(n)
        total += count * _BYTES.get(kind, 0)
    return total


def compiled(form: str, batch: int, size: int, filters: int, dtype: str) -> str:
    """Text of the compiled step."""
    by_input_gradient = convolutions.by_input_gradient
    if form == "four_phases":  # as before a GPU had its own way
        convolutions.by_input_gradient = convolutions.by_phases
    try:
        stock = "stock" if form == "stock" else "phases"
        networks = build_networks(
            Architecture(size, 4, filters, 64, convolution_form=stock, compute_dtype=dtype)
        )
        optimizer = adam(2e-4, 0.5)
        step = make_train_step(networks, optimizer, StepSettings(0.01))
        topology = topologies.get_topology_desc(
            platform="cuda", topology_name="H100", target_config=H100, topology="1x1x1"
        )
        here = SingleDeviceSharding(topology.devices[0])
        state = jax.eval_shape(lambda key: init_state(networks, optimizer, key), jax.random.key(0))
        given = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here),
            (state, jax.ShapeDtypeStruct((batch, size, size), jnp.float32)),
        )
        lowered = jax.jit(step, donate_argnums=0).trace(*given).lower(lowering_platforms=("cuda",))
        return lowered.compile().as_text()
    finally:
        convolutions.by_input_gradient = by_input_gradient


def main() -> None:
    """Print a line a form, and keep them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forms", default="phases,stock,four_phases")
    parser.add_argument("--dtypes", default="float32", help="of float32, bfloat16, bfloat16_gradients")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    found = {}
    for form in args.forms.split(","):
        for dtype in args.dtypes.split(","):
            text = compiled(form, args.batch, args.size, args.filters, dtype)
            found[f"{form}, {dtype}"] = counted(text)
            print(form, dtype, found[f"{form}, {dtype}"], flush=True)
    if args.out:
        record = {"jax": jax.__version__, "device": "H100, described", **vars(args), "found": found}
        args.out.write_text(json.dumps(record | {"out": str(args.out)}, indent=1) + "\n")


if __name__ == "__main__":
    main()
