/** The compiler's own parts, under one roof: its enums are `const enum` in its types, but plain objects at run time. */
import * as assemblyscript from "assemblyscript";

type Numbers<Names extends string> = Readonly<Record<Names, number>>;

interface Tables {
  CommonFlags: Numbers<"Export" | "Static" | "Const" | "Declare" | "Readonly">;
  SourceKind: Numbers<"User" | "UserEntry">;
  ElementKind: Numbers<"Enum" | "FunctionPrototype" | "Global" | "TypeDefinition" | "ClassPrototype">;
  TypeFlags: Numbers<"Nullable">;
  DiagnosticCategory: Numbers<"Warning" | "Error">;
  ParameterKind: Numbers<"Default" | "Rest">;
  Token: Numbers<
    | "Plus"
    | "Minus"
    | "Asterisk"
    | "Slash"
    | "Percent"
    | "Ampersand"
    | "Bar"
    | "Caret"
    | "Tilde"
    | "Exclamation"
    | "LessThan_LessThan"
    | "GreaterThan_GreaterThan"
    | "GreaterThan_GreaterThan_GreaterThan"
    | "Ampersand_Ampersand"
    | "Bar_Bar"
    | "Equals_Equals"
    | "Equals_Equals_Equals"
    | "Exclamation_Equals"
    | "Exclamation_Equals_Equals"
    | "LessThan"
    | "GreaterThan"
    | "LessThan_Equals"
    | "GreaterThan_Equals"
    | "EndOfFile"
  >;
}

export const tables = assemblyscript as unknown as Tables;
export * as asc from "assemblyscript";

/** The compiler's 64-bit integers are `Long` objects. */
export function toBigInt(value: unknown): bigint {
  if (typeof value === "bigint") return value;
  const { low, high } = value as { low: number; high: number };
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}
