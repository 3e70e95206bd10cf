// Workers: what takes longer than a moment is computed beside the page. They are made from the bundle itself, so that they start from a disk too.
import BackgroundWorker from "./worker?worker&inline";

let next = 0;
const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
const workers: Worker[] = [];

function worker(i: number): Worker {
  const before = workers[i];
  if (before) return before;
  const made = new BackgroundWorker();
  made.onmessage = ({ data }: MessageEvent<{ id: number; value?: unknown; error?: string }>) => {
    const asked = waiting.get(data.id);
    waiting.delete(data.id);
    if (data.error !== undefined) asked?.reject(new Error(data.error));
    else asked?.resolve(data.value);
  };
  made.onerror = (event) => {
    for (const asked of waiting.values()) asked.reject(new Error(event.message));
    waiting.clear();
  };
  workers[i] = made;
  return made;
}

/** Ask a worker; it answers in the order asked. */
export function ask<T>(task: string, given: unknown, i = 0): Promise<T> {
  const id = ++next;
  return new Promise<T>((resolve, reject) => {
    waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
    worker(i).postMessage({ id, task, given });
  });
}
