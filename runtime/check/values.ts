/** One text for each value that crosses the API, so that values can be compared, numbered and shown. */

/** Text of a value: `1n`, `"text"`, `{ ok: true, value: 3 }`. Equal values have equal texts. */
export function show(value: unknown): string {
  switch (typeof value) {
    case "bigint":
      return `${value}n`;
    case "string":
      return JSON.stringify(value);
    case "number":
      return Object.is(value, -0) ? "-0" : String(value);
    case "function":
      return `function ${value.name || "(anonymous)"}`;
    case "object":
      if (value === null) return "null";
      if (value instanceof Map) return `Map(${[...value].map(([k, v]) => `${show(k)} => ${show(v)}`).join(", ")})`;
      if (value instanceof Set) return `Set(${[...value].map(show).join(", ")})`;
      if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`;
      if (ArrayBuffer.isView(value)) return `${value.constructor.name}(${Array.from(value as Uint8Array).join(",")})`;
      return showFields(value);
    default:
      return String(value);
  }
}

function showFields(value: object): string {
  const fields = Object.entries(value).map(([name, field]) => `${name}: ${show(field)}`);
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
}

/** Text of a call: `tryPush(1n)`. */
export function stepText(fn: string, args: readonly unknown[]): string {
  return `${fn}(${args.map(show).join(", ")})`;
}
