// What a worker answers.
import { chance, seeded, totals } from "./difference";
import { liveCell, liveModel, liveSteer } from "./live/tasks";

const TASKS: Record<string, (given: never) => unknown> = {
  chance: ({ values, features, rows, x, y }: { values: Uint8Array; features: number; rows: Uint32Array; x: Float32Array; y: Float32Array }) =>
    chance(values, features, rows, totals(values, features), x, y, seeded(17)),
  "live-model": liveModel,
  "live-cell": liveCell,
  "live-steer": liveSteer,
};

self.onmessage = ({ data }: MessageEvent<{ id: number; task: string; given: never }>) => {
  try {
    self.postMessage({ id: data.id, value: TASKS[data.task]?.(data.given) });
  } catch (error) {
    self.postMessage({ id: data.id, error: error instanceof Error ? error.message : String(error) });
  }
};
