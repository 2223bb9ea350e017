"""Time of a train step: these networks in JAX against the same in PyTorch channels_last, on the same cores.

    python experiments/benchmarks/train_step.py --size 64 --filters 16 --batch 32 --repeats 20

Interleaved (one step of each in turn), medians. Needs the extra `benchmark` (torch).
"""

import argparse
import json
import os
import statistics
import time


def jax_stepper(size, filters, batch, form):
    import jax

    from cosmogan_jax.gan.networks import Architecture, build_networks
    from cosmogan_jax.gan.state import adam, init_state
    from cosmogan_jax.gan.train_step import make_train_step

    networks, optimizer = build_networks(Architecture(size, 4, filters, 64, form)), adam(2e-4, 0.5)
    step = jax.jit(make_train_step(networks, optimizer, label_flip_probability=0.01), donate_argnums=0)
    held = [init_state(networks, optimizer, jax.random.key(0))]
    real = 0.1 * jax.random.normal(jax.random.key(1), (batch, size, size))

    def run():
        held[0], _ = step(held[0], real)
        jax.block_until_ready(held[0])

    return run


def torch_stepper(size, filters, batch):
    import torch
    from torch import nn

    base = size // 16

    def norm(n):
        return nn.BatchNorm2d(n, eps=1e-5, momentum=0.1)

    layers = [
        nn.Linear(64, base * base * 8 * filters),
        nn.Unflatten(1, (8 * filters, base, base)),
        norm(8 * filters),
        nn.ReLU(),
    ]
    for n in (4, 2, 1):
        layers += [
            nn.ConvTranspose2d(2 * n * filters, n * filters, 5, 2, 2, output_padding=1),
            norm(n * filters),
            nn.ReLU(),
        ]
    gen = nn.Sequential(*layers, nn.ConvTranspose2d(filters, 1, 5, 2, 2, output_padding=1), nn.Tanh())
    layers = [nn.Conv2d(1, filters, 5, 2, 2), nn.LeakyReLU(0.2)]
    for n in (1, 2, 4):
        layers += [
            nn.Conv2d(n * filters, 2 * n * filters, 5, 2, 2),
            norm(2 * n * filters),
            nn.LeakyReLU(0.2),
        ]
    disc = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * filters * base * base, 1))
    gen, disc = (net.to(memory_format=torch.channels_last) for net in (gen, disc))
    adams = [torch.optim.Adam(net.parameters(), 2e-4, betas=(0.5, 0.999)) for net in (gen, disc)]
    loss = nn.BCEWithLogitsLoss()
    real = (0.1 * torch.randn(batch, 1, size, size)).to(memory_format=torch.channels_last)
    ones, zeros = torch.ones(batch, 1), torch.zeros(batch, 1)

    def run():
        # Both gradients at the old parameters from one pass of D over the fakes, as in the joint order.
        fake = gen(torch.randn(batch, 64))
        fake_logits = disc(fake)
        gen_grads = torch.autograd.grad(loss(fake_logits, ones), list(gen.parameters()), retain_graph=True)
        disc_loss = loss(disc(real), ones) + loss(fake_logits, zeros)
        disc_grads = torch.autograd.grad(disc_loss, list(disc.parameters()))
        for net, grads, adam in zip((gen, disc), (gen_grads, disc_grads), adams):
            for parameter, grad in zip(net.parameters(), grads):
                parameter.grad = grad
            adam.step()

    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("size", 64), ("filters", 16), ("batch", 32), ("repeats", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--no_stock", action="store_true", help="leave the slow stock form out")
    args = parser.parse_args()
    shape = (args.size, args.filters, args.batch)
    steppers = {
        "jax phases": jax_stepper(*shape, "phases"),
        "jax stock": jax_stepper(*shape, "stock"),
        "torch channels_last": torch_stepper(*shape),
    }
    if args.no_stock:
        del steppers["jax stock"]
    times = {name: [] for name in steppers}
    for repeat in range(args.repeats + 2):
        for name, run in steppers.items():
            began = time.perf_counter()
            run()
            if repeat >= 2:
                times[name].append(1e3 * (time.perf_counter() - began))
    medians = {name: round(statistics.median(values), 1) for name, values in times.items()}
    ratio = medians["jax phases"] / medians["torch channels_last"]
    result = {**vars(args), "cores": os.cpu_count(), "median_ms": medians, "jax_to_torch": round(ratio, 3)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
