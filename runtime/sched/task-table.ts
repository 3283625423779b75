/** What is known of tasks in this thread, by id. A task's slot in the image's table is its place here, so that nothing is hashed or allocated. */
import { TASKS } from "../../generated/vsched/vsched.js";

/** Of an id: its slot in the table. */
export const INDEX_MASK = 0x3fff;

export class TaskTable<T> {
  readonly #ids = new Uint32Array(TASKS);
  readonly #values: (T | undefined)[] = new Array<T | undefined>(TASKS).fill(undefined);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): T | undefined {
    const place = id & INDEX_MASK;
    return this.#ids[place] === id ? this.#values[place] : undefined;
  }

  /** Of all that are in it now. */
  ids(): number[] {
    return Array.from(this.#ids).filter((id) => id !== 0);
  }

  /** The slot has to be free: the task before has been deleted. */
  set(id: number, value: T): void {
    const place = id & INDEX_MASK;
    this.#ids[place] = id;
    this.#values[place] = value;
    this.#size++;
  }

  delete(id: number): void {
    const place = id & INDEX_MASK;
    if (this.#ids[place] !== id) return;
    this.#ids[place] = 0;
    this.#values[place] = undefined;
    this.#size--;
  }
}
