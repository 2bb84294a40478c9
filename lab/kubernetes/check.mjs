// node check.mjs < OBJECTS: every object of an operator (JSON, a list) against the schema that its makers publish. Prints what is wrong.
import { readFileSync } from 'node:fs';
import { PodMonitor } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor';
import { ScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject';

const known = { 'monitoring.coreos.com/v1/PodMonitor': PodMonitor, 'keda.sh/v1alpha1/ScaledObject': ScaledObject };
let wrong = 0;
for (const object of JSON.parse(readFileSync(0, 'utf8'))) {
  const type = `${object.apiVersion}/${object.kind}`;
  try {
    if (!known[type]) throw new Error('no schema for it');
    new known[type](object).validate();
  } catch (error) {
    wrong += 1;
    console.error(`${type} ${object.metadata?.name}: ${error.message}`);
  }
}
process.exit(wrong ? 1 : 0);
