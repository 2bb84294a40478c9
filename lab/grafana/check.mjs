// Whether the dashboards named on the command line are what Grafana's types say: `node check.mjs FILE…`. Says what is not, with the
// panel that it is in, and exits with 1.
import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const here = dirname(fileURLToPath(import.meta.url));
const files = process.argv.slice(2);
if (files.length === 0) {
  console.error('usage: node check.mjs FILE…');
  process.exit(64);
}

// A literal that is assigned is checked for properties that nobody knows; what is read from a file would not be.
const sources = new Map(
  files.map((file, index) => [
    join(here, `checked-${index}.ts`),
    `import type { Dashboard } from './ours';\nexport const checked: Dashboard = ${readFileSync(file, 'utf8')};\n`,
  ]),
);
const options = { strict: true, noEmit: true, skipLibCheck: true, module: ts.ModuleKind.NodeNext, types: [] };
options.moduleResolution = ts.ModuleResolutionKind.NodeNext;
options.target = ts.ScriptTarget.ES2022;
const host = ts.createCompilerHost(options);
const { getSourceFile, fileExists, readFile } = host;
host.fileExists = (name) => sources.has(name) || fileExists(name);
host.readFile = (name) => sources.get(name) ?? readFile(name);
host.getSourceFile = (name, target) =>
  sources.has(name) ? ts.createSourceFile(name, sources.get(name), target, true) : getSourceFile(name, target);

const program = ts.createProgram([...sources.keys()], options, host);
const diagnostics = ts.getPreEmitDiagnostics(program);
for (const { file, start, messageText } of diagnostics) {
  const names = [...sources.keys()];
  const what = file ? `${basename(files[names.indexOf(file.fileName)] ?? file.fileName)}: ` : '';
  const line = file ? file.getLineAndCharacterOfPosition(start).line : 0;
  // The import is the first line, and the JSON begins on the second.
  console.error(`${what}${line ? `line ${line}: ` : ''}${ts.flattenDiagnosticMessageText(messageText, '\n')}`);
}
process.exit(diagnostics.length > 0 ? 1 : 0);
