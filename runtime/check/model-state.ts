/** The states of a sequential model as values: copied, so that a call leaves the one that it began from as it was, and compared by a text. */
import { show } from "./values.ts";

/** Copy of a state. Unlike a structured clone, it keeps the classes of what a model is made of. Cycles and shared parts are kept as well. */
export function copyState<State extends object>(state: State): State {
  return copy(state, new Map()) as State;
}

function copy(value: unknown, copies: Map<object, object>): unknown {
  if (typeof value !== "object" || value === null) return value;
  const known = copies.get(value);
  if (known) return known;
  if (ArrayBuffer.isView(value)) {
    const view = structuredClone(value);
    copies.set(value, view);
    return view;
  }
  if (value instanceof Map) {
    const map = new Map();
    copies.set(value, map);
    for (const [key, entry] of value) map.set(copy(key, copies), copy(entry, copies));
    return map;
  }
  if (value instanceof Set) {
    const set = new Set();
    copies.set(value, set);
    for (const entry of value) set.add(copy(entry, copies));
    return set;
  }
  const made: Record<string, unknown> = Array.isArray(value) ? [] : Object.create(Object.getPrototypeOf(value));
  copies.set(value, made);
  for (const [name, field] of Object.entries(value)) made[name] = copy(field, copies);
  return made;
}

/**
 * Texts of states, equal for those that no call can tell apart: objects are numbered in the order in which they are come to, so that one that is
 * come to again, through a cycle or by another way, is told from one that only looks like it; and so are classes.
 */
export class StateTexts {
  private readonly classes = new Map<object | null, number>();

  of(state: object): string {
    return this.text(state, new Map());
  }

  private text(value: unknown, numbers: Map<object, number>): string {
    if (typeof value !== "object" || value === null) return show(value);
    const known = numbers.get(value);
    if (known !== undefined) return `#${known}`;
    numbers.set(value, numbers.size);
    if (ArrayBuffer.isView(value)) return show(value);
    const text = (part: unknown): string => this.text(part, numbers);
    if (value instanceof Map)
      return `Map(${[...value].map(([key, entry]) => `${text(key)} => ${text(entry)}`).join()})`;
    if (value instanceof Set) return `Set(${[...value].map(text).join()})`;
    if (Array.isArray(value)) return `[${value.map(text).join()}]`;
    const fields = Object.entries(value).map(([name, field]) => `${JSON.stringify(name)}: ${text(field)}`);
    return `${this.classOf(value)}{${fields.join()}}`;
  }

  private classOf(value: object): number {
    const prototype = Object.getPrototypeOf(value) as object | null;
    const known = this.classes.get(prototype);
    if (known !== undefined) return known;
    this.classes.set(prototype, this.classes.size);
    return this.classes.size - 1;
  }
}
