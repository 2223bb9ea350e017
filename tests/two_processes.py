"""What one of two processes sees of feeds and agreements, joined as srun starts them: see test_scale_out.

Usage: two_processes.py <prepared folder>. Prints JSON.
"""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from cosmogan_jax.machine import processes
from cosmogan_jax.settings import Processes

BATCH, SEED, STEPS = 8, 5, 7


def main(folder):
    with processes.join(Processes("auto", None, None, None)) as group:
        import jax

        from cosmogan_jax.machine.consensus import processes_here, smallest, stop_together
        from cosmogan_jax.machine.devices import choose_devices
        from cosmogan_jax.maps import store as map_store
        from cosmogan_jax.maps.crop_table import open_crop_table
        from cosmogan_jax.maps.table_crops import Crops
        from cosmogan_jax.stages.train import feeding

        assert (group.count, group.index) == (jax.process_count(), jax.process_index())
        read = []
        whole = map_store.MapStore.read
        map_store.MapStore.read = lambda self, start, stop: (read.append(start), whole(self, start, stop))[1]
        streamed = []
        stream = feeding.stream_crops

        def spied(store, rows, size, ahead):
            return stream(store, (streamed.append(len(batch)) or batch for batch in rows), size, ahead)

        feeding.stream_crops = spied

        devices = choose_devices(None, BATCH)
        settings = SimpleNamespace(
            own_seed=SEED, batch_size=BATCH, stream_cache_gib=0, feed="auto", condition_on=()
        )
        table, said = open_crop_table(Path(folder)), {"index": group.index, "devices": devices.mesh.size}
        crops, order = Crops(table, table.crops["train"]), feeding.Order(SEED, BATCH)
        for name, feed in (
            ("device", feeding.DeviceFeed(crops, (), order, devices)),
            ("stream", feeding.StreamFeed(crops.with_cache(0), (), order, devices)),
        ):
            cut = jax.jit(feed.crops, out_shardings=devices.by_rows)
            batches = [cut(feed.held, batch) for batch in feed.batches(0, STEPS)]
            held = [np.concatenate([s.data for s in batch.kappa.addressable_shards]) for batch in batches]
            np.save(f"{folder}/{name}_{group.index}.npy", np.stack(held))
        said |= {"maps_read": list(read), "rows_streamed": streamed}
        said["auto"] = type(feeding.open_feed(crops, settings, devices)).__name__

        said["gave"] = group.on_first(lambda: ["of", group.index, "x" * 5000])
        try:
            group.on_first(lambda: int("no number"))
        except ValueError as error:
            said["failed"] = str(error)
        said["smallest"], said["here"] = smallest(3.0 - group.index), processes_here()
        # Process 1 is told to stop in its third call; process 0 never is.
        calls = iter(range(100))
        ask = stop_together(lambda: "SIGTERM" if group.index == 1 and next(calls) == 2 else None, devices)
        said["answers"] = [ask() for _ in range(6)]
        group.meet("the end")
        print(json.dumps(said), flush=True)
    assert "SLURM_PROCID" in os.environ


if __name__ == "__main__":
    main(sys.argv[1])
