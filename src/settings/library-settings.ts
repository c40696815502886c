import type { CodeCheck } from './kind.ts';
import type { Setting, SettingTable } from './setting.ts';
import { settingKeys, settingNamed } from './settings.ts';
import type { Config, SettingKey, ValueOf, settings } from './settings.ts';

type Settings = typeof settings;
type Library<S> = S extends { readonly library: infer L } ? L : never;
type NameOf<L> = L extends string ? L : L extends { readonly name: infer N extends string } ? N : never;
type CodeValue<K extends SettingKey> =
  Library<Settings[K]> extends { from(value: never): infer T } ? T : ValueOf<K>;

/** By their names in the library, as they stand in the tables: `s3.partSizeBytes`. */
type Flat = {
  readonly [K in SettingKey as NameOf<Library<Settings[K]>>]?: CodeValue<K> | undefined;
};
type Within<Prefix extends string> = {
  readonly [N in keyof Flat as N extends `${Prefix}.${infer Name}` ? Name : never]?: Flat[N];
};

/** All settings that the library has, under the names and in the units that it has them. */
export type LibrarySettings = {
  readonly [N in keyof Flat as N extends `${string}.${string}` ? never : N]?: Flat[N];
} & {
  readonly s3?: Within<'s3'> | undefined;
  readonly hooks?: Within<'hooks'> | undefined;
  readonly continuous?: Within<'continuous'> | undefined;
};

export function librarySettings(config: Config): LibrarySettings {
  const made: Record<string, unknown> = {};
  for (const key of settingKeys) {
    const value = (config as Readonly<Record<string, unknown>>)[key];
    const setting = settingNamed(key);
    const name = libraryNameOf(setting);
    const coded = value === undefined ? undefined : inCode(setting, value);
    if (name !== undefined && coded !== undefined) put(made, name, coded);
  }
  return made;
}

/** The defaults of a table's settings, under their names in the library. */
export function libraryDefaults<const T extends SettingTable>(table: T): DefaultsOf<T> {
  const made: Record<string, unknown> = {};
  for (const setting of Object.values<Setting>(table)) {
    const name = libraryNameOf(setting);
    if (name === undefined || setting.default === undefined) continue;
    put(made, name, inCode(setting, setting.kind.read(setting.default)));
  }
  return made as DefaultsOf<T>;
}

type DefaultsOf<T> = {
  readonly [
    K in keyof T as T[K] extends { readonly default: string } ? NameOf<Library<T[K]>> : never
  ]: K extends SettingKey ? CodeValue<K> : never;
};

/** The names that a table's settings have in the library. */
export function libraryNames<const T extends SettingTable>(table: T): readonly NameOf<Library<T[keyof T]>>[] {
  return Object.values<Setting>(table).flatMap((setting) => libraryNameOf(setting) ?? []) as NameOf<
    Library<T[keyof T]>
  >[];
}

/** The checks of values that a program passes, by their names in the library. */
export function libraryChecks(): ReadonlyMap<string, CodeCheck> {
  return new Map(
    settingKeys.flatMap((key) => {
      const { kind, library } = settingNamed(key);
      if (library === undefined) return [];
      return typeof library === 'string' ? [[library, kind.inCode]] : [[library.name, library.check]];
    }),
  );
}

export function libraryNameOf({ library }: Setting): string | undefined {
  return typeof library === 'object' ? library.name : library;
}

function inCode({ library }: Setting, value: unknown): unknown {
  return typeof library === 'object' ? library.from(value) : value;
}

/** `s3.region` is `region` within `s3`. */
function put(target: Record<string, unknown>, name: string, value: unknown): void {
  const [outer = '', inner] = name.split('.');
  if (inner === undefined) target[outer] = value;
  else target[outer] = { ...(target[outer] as object | undefined), [inner]: value };
}
