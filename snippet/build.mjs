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

const compressed = async (text) => {
  const script = text[0] == '(';
  const options = { expression: script, unsafe: true, unsafe_methods: true, passes: 4, unsafe_arrows: true, negate_iife: false, side_effects: true, pure_getters: true, keep_fargs: false, toplevel: true, ecma: 2021 };
  const found = await minify(text, { ecma: 2021, compress: options, mangle: { toplevel: true }, module: !script });
  return found.code.replace(/;$/, '');
};

const bundle = async (entry, name) => {
  const found = await build({
    entryPoints: [entry], bundle: true, format: name ? 'iife' : 'esm', globalName: name, write: false, minifySyntax: true, target: 'es2021', charset: 'utf8',
  });
  return found.outputFiles[0].text;
};

const core = async () => compressed(`(function(CONFIG,MODULES){${await bundle(join(here, 'src/main.js'))}})`);

const module = async (file) => {
  const entry = join(here, 'src/modules', file);
  // The debug module is imported by the page, the others are part of the served file.
  if (file == 'debug.js') return compressed(await bundle(entry));
  const text = await bundle(entry, 'M');
  return compressed(`(function(api,config){${text};M.start(api,config)})`);
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
