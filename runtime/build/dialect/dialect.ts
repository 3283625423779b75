/** The dialect's steps, in the order in which they run over the parsed sources. */
import { type ApiStructLayout, rewriteApiStructs } from "./api-structs.ts";
import type { asc } from "./asc.ts";
import { type ConstantOptions, Constants } from "./constants.ts";
import { checkDecorators } from "./decorators.ts";
import { markEndlessLoops } from "./endless-loops.ts";
import { type HostClass, rewriteHostInterfaces } from "./host-interfaces.ts";
import { Layouts } from "./layout.ts";
import { privateArrayBytes } from "./private-memory.ts";
import { Scope } from "./scope.ts";
import { Sites } from "./sites.ts";
import { Tree } from "./tree.ts";
import { refuseUnsupported } from "./unsupported.ts";
import { refuseNewVvar, rewriteVvarClasses } from "./vvar-classes.ts";

/** What the steps found out; the manifest is written from it. */
export interface Dialect {
  readonly tree: Tree;
  readonly scope: Scope;
  readonly constants: Constants;
  readonly layouts: Layouts;
  readonly sites: Sites;
  readonly apiStructs: ReadonlyMap<asc.ClassDeclaration, ApiStructLayout>;
  readonly hosts: ReadonlyMap<asc.ClassDeclaration, HostClass>;
  /** Private memory for what is made at the start. */
  readonly privateBytes: number;
}

/** Lowers the dialect to AssemblyScript, in place. Errors are collected in `tree.diagnostics`. */
export function lower(parser: asc.Parser, options: ConstantOptions & { readonly log: boolean }): Dialect {
  const tree = new Tree(parser);
  const scope = new Scope(tree.sources);
  refuseUnsupported(tree);
  checkDecorators(tree);
  const constants = new Constants(tree, scope, options);
  constants.run();
  const layouts = new Layouts(tree, scope, constants);
  layouts.run();
  refuseNewVvar(tree, layouts);
  const privateBytes = privateArrayBytes(tree, scope, constants);
  const sites = new Sites(tree, scope, options.log);
  sites.run();
  markEndlessLoops(tree);
  const apiStructs = rewriteApiStructs(tree, scope);
  const hosts = rewriteHostInterfaces(tree, scope);
  rewriteVvarClasses(tree, layouts, sites);
  return { tree, scope, constants, layouts, sites, apiStructs, hosts, privateBytes };
}
