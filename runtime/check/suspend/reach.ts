/** Which functions can be stopped in the middle: those that call a hook, or a function that can be stopped. */

import { type Instruction, Op } from "../instructions.ts";
import { unsupported } from "../wasm-binary.ts";
import type { ModuleView } from "./module.ts";

export class Reach {
  private readonly view: ModuleView;
  private readonly stops: boolean[];
  /** Signatures of functions that can be stopped and that may be called without their name. */
  private readonly indirect = new Set<string>();

  /** @param hook - can a call of this import stop the thread? */
  constructor(view: ModuleView, hook: (func: number) => boolean) {
    this.view = view;
    this.stops = view.functions.map((_, func) => func < view.imports.length && hook(func));
    const callers = new Map<number, number[]>();
    const indirectCallers = new Map<string, number[]>();
    for (const [position, { instructions }] of view.bodies.entries()) {
      const caller = view.imports.length + position;
      for (const { op, index } of instructions) {
        if (op === Op.call || op === Op.returnCall) put(callers, index, caller);
        else if (op === Op.callIndirect || op === Op.returnCallIndirect) {
          put(indirectCallers, this.signature(index), caller);
        }
      }
    }
    const open = this.stops.flatMap((stops, func) => (stops ? [func] : []));
    const reach = (func: number): void => {
      if (this.stops[func]) return;
      this.stops[func] = true;
      open.push(func);
    };
    for (let func = open.pop(); func !== undefined; func = open.pop()) {
      callers.get(func)?.forEach(reach);
      if (!view.referenced.has(func)) continue;
      const signature = this.signature(view.functions[func]!);
      if (this.indirect.has(signature)) continue;
      this.indirect.add(signature);
      indirectCallers.get(signature)?.forEach(reach);
    }
  }

  /** Can this function of the module be stopped? */
  canStop(func: number): boolean {
    return this.stops[func]!;
  }

  /**
   * Can this call come back because the thread was stopped?
   *
   * @throws VdsoError `ERR_VDSO_CHECK_UNSUPPORTED` - it can, and leaves no frame that could be saved.
   */
  isStop({ op, index, from }: Instruction): boolean {
    const direct = op === Op.call || op === Op.returnCall;
    if (!direct && op !== Op.callIndirect && op !== Op.returnCallIndirect) return false;
    const stops = direct ? this.stops[index]! : this.indirect.has(this.signature(index));
    if (stops && (op === Op.returnCall || op === Op.returnCallIndirect)) {
      throw unsupported(
        `a tail call at byte ${from} of what it was rewritten to reaches a function that accesses the vVAR`,
      );
    }
    return stops;
  }

  private signature(type: number): string {
    const { params, results } = this.view.type(type);
    return `${params} ${results}`;
  }
}

function put<K>(into: Map<K, number[]>, key: K, value: number): void {
  const list = into.get(key);
  if (list) list.push(value);
  else into.set(key, [value]);
}
