// Builds the tag: `node build.mjs [DIRECTORY]`, by default into the server's package. Same sources, same bytes.
//
// The core and each module become one expression that the server composes: `(core)(CONFIG,[module,…])`.

import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { minify } from 'terser';

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] || join(here, '../server/retag/web/static/tag');
const BUDGET = 3072;
// The letters of short names, in an order that compresses well: found by trying some thousands of them.
const LETTERS = 'edypfaobgUYXzArxsShDkJjPWnwmO_$ZtMGHicvEqNLuRVKFBIQlTC';
const name = (number) => {
  let found = LETTERS[number % 54];
  for (let rest = Math.floor(number / 54); rest > 0; rest = Math.floor((rest - 1) / 64)) {
    found += (LETTERS + '0123456789')[(rest - 1) % 64];
  }
  return found;
};

// What the core and its modules call each other's things, in short.
const SHORT = { decide: 'd', enrich: 'e', heard: 'h', leave: 'l', words: 'w', given: 'g', ours: 'o' };

// An expression without `this` becomes an arrow function.
const compressed = async (text) => {
  const script = text[0] == '(';
  const options = { expression: script, unsafe: true, unsafe_methods: true, passes: 4, unsafe_arrows: true, negate_iife: false, side_effects: true, pure_getters: true, keep_fargs: false, toplevel: true, ecma: 2021 };
  const found = await minify(text, { ecma: 2021, compress: options, mangle: { toplevel: true, nth_identifier: { get: name } }, module: !script });
  return found.code.replace(/;$/, '');
};

const mangleProps = RegExp(`^(${Object.keys(SHORT).join('|')})$`);

const bundle = async (entry) => {
  const options = { bundle: true, format: 'esm', write: false, minifySyntax: true, target: 'es2021', charset: 'utf8', mangleProps, mangleCache: SHORT };
  const found = await build({ ...options, ...entry });
  return found.outputFiles[0].text;
};

const core = async () => {
  const text = await bundle({ entryPoints: [join(here, 'src/main.js')] });
  return `(${await compressed(`(function(CONFIG,MODULES){${text}})`)})`;
};

const module = async (file) => {
  const resolveDir = join(here, 'src/modules');
  // The debug module is imported by the page, the others are part of the served file.
  if (file == 'debug.js') return compressed(await bundle({ entryPoints: [join(resolveDir, file)] }));
  const contents = `import { start } from './${file}'; start(API, CONFIG)`;
  return compressed(`(function(API,CONFIG){${await bundle({ stdin: { contents, resolveDir } })}})`);
};

const write = (name, text) => {
  writeFileSync(join(out, name), text + '\n');
  const brotli = brotliCompressSync(text).length;
  console.log(`${name.padEnd(16)} ${text.length} bytes, gzip ${gzipSync(text, { level: 9 }).length}, brotli ${brotli}`);
  return brotli;
};

mkdirSync(out, { recursive: true });
const size = write('core.js', await core());
for (const file of readdirSync(join(here, 'src/modules')).sort()) write(file, await module(file));
if (size > BUDGET) {
  console.error(`core.js: ${size} bytes, ${size - BUDGET} over the budget of ${BUDGET}`);
  process.exitCode = 1;
}
