/**
 * Layout of `@vvar` classes: fields in the author's order, each at its natural alignment or its `@align`. Names are resolved through
 * imports, so two files may use one name for different structs.
 */
import type { Layout, VvarField, VvarStruct } from "../../image/manifest.ts";
import { SCALAR_BYTES } from "../../image/scalars.ts";
import { alignUp } from "../../image/types.ts";
import { asc } from "./asc.ts";
import type { Constants } from "./constants.ts";
import { findRoot, type Root } from "./root.ts";
import type { Found, Scope } from "./scope.ts";
import { decorator, entryOf, isStatic, type Tree, textOf, typeName } from "./tree.ts";

const ALLOWED = "scalars, enums, Atomic<T>, VPtr<T>, FixedArray<T> and other @vvar classes";

/** What one element of a field is. */
export interface ElementType {
  readonly kind: "scalar" | "struct" | "atomic" | "pointer";
  readonly size: number;
  readonly align: number;
  /** As the author wrote it. */
  readonly text: string;
  /** The `@vvar` class that it is or refers to. */
  readonly target?: asc.ClassDeclaration;
  /** Manifest's type text, asked for when all names are known. */
  manifestType(): string;
}

export interface FieldLayout {
  readonly name: string;
  readonly node: asc.FieldDeclaration;
  readonly offset: number;
  readonly size: number;
  readonly element: ElementType;
  readonly array?: { readonly length: number; readonly stride: number };
}

export interface StructLayout {
  readonly node: asc.ClassDeclaration;
  readonly source: asc.Source;
  readonly size: number;
  readonly align: number;
  readonly fields: readonly FieldLayout[];
}

export class Layouts {
  readonly structs = new Map<asc.ClassDeclaration, StructLayout>();
  readonly enums = new Map<asc.EnumDeclaration, { name: string; values: [string, number][] }>();
  root: Root | undefined;
  private readonly tree: Tree;
  private readonly scope: Scope;
  private readonly constants: Constants;
  private readonly names = new Map<asc.ClassDeclaration, string>();
  private readonly running = new Set<asc.ClassDeclaration>();

  constructor(tree: Tree, scope: Scope, constants: Constants) {
    this.tree = tree;
    this.scope = scope;
    this.constants = constants;
  }

  run(): void {
    for (const source of this.tree.sources) {
      for (const [, node] of this.scope.own(source)) {
        if (node instanceof asc.ClassDeclaration && decorator(node, "vvar")) this.layOut({ node, source });
      }
    }
    this.root = findRoot(this.tree, this.scope, this);
  }

  /** The struct that a type means in a file. */
  structOf(source: asc.Source, type: asc.TypeNode): StructLayout | undefined {
    const meant = this.scope.resolveType(source, type);
    const found = this.scope.lookupType(meant.source, meant.type);
    return found?.node instanceof asc.ClassDeclaration ? this.structs.get(found.node) : undefined;
  }

  /** Name in the manifest: the author's, with the file in front where two files use the same. */
  structName(struct: StructLayout): string {
    const known = this.names.get(struct.node);
    if (known !== undefined) return known;
    const name = unique(struct.node.name.text, struct.source, new Set(this.names.values()));
    this.names.set(struct.node, name);
    return name;
  }

  /** Registers an enum that the manifest has to explain. */
  enumName(found: Found<asc.EnumDeclaration>): string {
    const known = this.enums.get(found.node);
    if (known !== undefined) return known.name;
    const taken = new Set([...this.enums.values()].map(({ name }) => name));
    const name = unique(found.node.name.text, found.source, taken);
    this.enums.set(found.node, { name, values: this.constants.enumValues(found) });
    return name;
  }

  manifest(): Layout {
    if (this.root === undefined) throw new Error("no root");
    const { struct, address } = this.root;
    const structs: VvarStruct[] = [];
    const add = (layout: StructLayout): void => {
      const name = this.structName(layout);
      if (structs.some((other) => other.name === name)) return;
      structs.push({ name, size: layout.size, align: layout.align, fields: layout.fields.map(manifestField) });
      for (const { element } of layout.fields) {
        const below = element.target && this.structs.get(element.target);
        if (below !== undefined) add(below);
      }
    };
    add(struct);
    return { root: this.structName(struct), address, end: address + struct.size, structs };
  }

  private layOut(found: Found<asc.ClassDeclaration>): StructLayout | undefined {
    const { node, source } = found;
    const known = this.structs.get(node);
    if (known !== undefined) return known;
    const name = node.name.text;
    if (this.running.has(node)) {
      const help = "refer to it by VPtr<...>";
      this.tree.error(node.name, "ERR_VDSO_STRUCT_RECURSIVE", `struct '${name}' contains itself`, help);
      return undefined;
    }
    if (node.isGeneric || node.extendsType) {
      const help = "write a class of its own, and nest it as a field";
      this.tree.error(
        node.name,
        "ERR_VDSO_STRUCT_FORM",
        `@vvar class '${name}' cannot be generic or extend another`,
        help,
      );
    }
    this.running.add(node);
    let offset = 0;
    let align = this.alignment(node, source) ?? 1;
    const fields: FieldLayout[] = [];
    for (const member of node.members) {
      if (!(member instanceof asc.FieldDeclaration) || isStatic(member)) {
        this.refuseConstructor(member, name);
        continue;
      }
      const field = this.field(member, source);
      if (field === undefined) {
        this.tree.refusedMembers.add(member.name.text);
        continue;
      }
      const fieldAlign = Math.max(field.element.align, this.alignment(member, source) ?? 1);
      offset = alignUp(offset, fieldAlign);
      fields.push({ ...field, offset });
      offset += field.size;
      align = Math.max(align, fieldAlign);
    }
    this.running.delete(node);
    const struct = { node, source, size: alignUp(offset, align), align, fields };
    this.structs.set(node, struct);
    return struct;
  }

  private refuseConstructor(member: asc.DeclarationStatement, owner: string): void {
    if (member instanceof asc.MethodDeclaration && member.name instanceof asc.ConstructorExpression) {
      const help = "set the fields in init()";
      this.tree.error(member.name, "ERR_VDSO_STRUCT_FORM", `@vvar class '${owner}' cannot have a constructor`, help);
    }
  }

  private field(member: asc.FieldDeclaration, source: asc.Source): Omit<FieldLayout, "offset"> | undefined {
    const name = member.name.text;
    if (member.initializer) {
      const help = "the vVAR starts as zeros; set other values in init()";
      this.tree.error(
        member.initializer,
        "ERR_VDSO_FIELD_INITIALISER",
        `field '${name}' cannot have an initialiser`,
        help,
      );
    }
    if (!member.type) {
      this.tree.error(member, "ERR_VDSO_FIELD_TYPE", `field '${name}' needs a type`, `for example ${name}: u32`);
      return undefined;
    }
    const { type } = member;
    const isArray = typeName(type) === "FixedArray";
    const length = decorator(member, "len");
    if (isArray !== (length !== undefined)) {
      const message = isArray ? `FixedArray '${name}' needs a length` : `@len is for FixedArray fields only`;
      this.tree.error(isArray ? type : (length ?? type), "ERR_VDSO_LEN", message, "write @len(n) name: FixedArray<T>");
    }
    const elementNode = isArray ? (type as asc.NamedTypeNode).typeArguments?.[0] : type;
    if (elementNode === undefined) {
      this.tree.error(type, "ERR_VDSO_FIELD_TYPE", "FixedArray needs an element type", "write FixedArray<u32>");
      return undefined;
    }
    const element = this.element(elementNode, source);
    if (element === undefined) return undefined;
    if (!isArray) return { name, node: member, size: element.size, element };
    // After an error the field stays, lest every use of it be one more.
    const count = (length && this.length(length, member, source)) ?? 1;
    const stride = alignUp(element.size, element.align);
    return { name, node: member, size: stride * count, element, array: { length: count, stride } };
  }

  private length({ args }: asc.DecoratorNode, member: asc.FieldDeclaration, source: asc.Source): number | undefined {
    const name = member.name.text;
    const [lengthNode] = args ?? [];
    if (lengthNode === undefined) {
      this.tree.error(member, "ERR_VDSO_LEN", `@len of '${name}' needs a number`, "write @len(64)");
      return undefined;
    }
    const count = this.constants.count(lengthNode, source, `the length of '${name}'`);
    if (count !== 0) return count;
    this.tree.error(member, "ERR_VDSO_LEN", `'${name}' would have no elements`, "a length is at least 1");
    return undefined;
  }

  private element(type: asc.TypeNode, source: asc.Source): ElementType | undefined {
    const text = textOf(type);
    if (!(type instanceof asc.NamedTypeNode)) return this.refuse(type, text);
    const name = typeName(type) ?? "";
    if (type.isNullable) {
      const help = "use VPtr<T>, or a value of its own for 'nothing'";
      this.tree.error(type, "ERR_VDSO_FIELD_TYPE", `'${text}' cannot be null in the vVAR`, help);
      return undefined;
    }
    const bytes = entryOf(SCALAR_BYTES, name);
    if (bytes !== undefined) return { kind: "scalar", size: bytes, align: bytes, text, manifestType: () => name };
    if (name === "usize" || name === "isize") {
      return { kind: "scalar", size: 4, align: 4, text, manifestType: () => (name === "usize" ? "u32" : "i32") };
    }
    const argument = type.typeArguments?.[0];
    if (name === "Atomic" || name === "VPtr") {
      if (argument === undefined) return this.refuse(type, text, `write ${name}<...>`);
      return name === "Atomic" ? this.atomic(argument, source, text) : this.pointer(argument, source, text);
    }
    const found = this.scope.lookupType(source, type);
    if (found?.node instanceof asc.EnumDeclaration) {
      const declaration = { node: found.node, source: found.source };
      return { kind: "scalar", size: 4, align: 4, text, manifestType: () => this.enumName(declaration) };
    }
    if (found?.node instanceof asc.TypeDeclaration) {
      // Named as the author does here: the other file's names may mean something else in this one.
      const element = this.element(found.node.type, found.source);
      return element && { ...element, text };
    }
    if (found?.node instanceof asc.ClassDeclaration && decorator(found.node, "vvar")) {
      const struct = this.layOut({ node: found.node, source: found.source });
      if (struct === undefined) return undefined;
      const { size, align } = struct;
      const manifestType = (): string => this.structName(struct);
      return { kind: "struct", size, align, text, target: found.node, manifestType };
    }
    const help = found?.node instanceof asc.ClassDeclaration ? `add @vvar to class '${text}'` : undefined;
    return this.refuse(type, text, help);
  }

  private atomic(argument: asc.TypeNode, source: asc.Source, text: string): ElementType | undefined {
    const inner = this.element(argument, source);
    if (inner === undefined) return undefined;
    if (inner.kind !== "scalar") return this.refuse(argument, text, "an Atomic holds one scalar");
    const { size, align } = inner;
    return { kind: "atomic", size, align, text, manifestType: () => `Atomic<${inner.manifestType()}>` };
  }

  private pointer(argument: asc.TypeNode, source: asc.Source, text: string): ElementType | undefined {
    const found = this.scope.lookupType(source, argument);
    if (!(found?.node instanceof asc.ClassDeclaration) || !decorator(found.node, "vvar")) {
      return this.refuse(argument, text, "a VPtr refers to a @vvar class");
    }
    const target = found.node;
    const manifestType = (): string => {
      const struct = this.structs.get(target);
      return `VPtr<${struct === undefined ? target.name.text : this.structName(struct)}>`;
    };
    return { kind: "pointer", size: 4, align: 4, text, target, manifestType };
  }

  private refuse(type: asc.TypeNode, text: string, help = `it takes ${ALLOWED}`): undefined {
    this.tree.error(type, "ERR_VDSO_FIELD_TYPE", `'${text}' cannot live in the vVAR`, help);
    return undefined;
  }

  private alignment(node: asc.DeclarationStatement, source: asc.Source): number | undefined {
    const found = decorator(node, "align");
    if (found === undefined) return undefined;
    const argument = found.args?.[0];
    const value = argument && this.constants.count(argument, source, "an alignment");
    if (value === undefined && argument) return undefined;
    if (value === undefined || value < 1 || value > 65536 || (value & (value - 1)) !== 0) {
      const message = `@align takes a power of two up to 65536, found ${value ?? "nothing"}`;
      this.tree.error(found, "ERR_VDSO_ALIGN", message, "for example @align(64)");
      return undefined;
    }
    return value;
  }
}

function manifestField({ name, offset, element, size, array }: FieldLayout): VvarField {
  const type = element.manifestType();
  return array === undefined
    ? { name, offset, type, size }
    : { name, offset, type, size, length: array.length, stride: array.stride };
}

function unique(name: string, source: asc.Source, taken: ReadonlySet<string>): string {
  if (!taken.has(name) && entryOf(SCALAR_BYTES, name) === undefined) return name;
  // An identifier, because API libraries use it as one.
  const long = `${source.internalPath.replace(/^[./]+/, "").replaceAll(/\W/g, "_")}_${name}`;
  if (!taken.has(long)) return long;
  for (let i = 2; ; i++) if (!taken.has(`${long}${i}`)) return `${long}${i}`;
}
