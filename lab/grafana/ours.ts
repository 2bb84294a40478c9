// What a dashboard of ours may be: Grafana's own types, with the options of the panel types that we use.
//
// Grafana's `Panel` takes any options; each panel type's are in a file of their own. JSON has words where the types have enums.
import type { Dashboard as AnyDashboard, DataSourceRef, Panel as AnyPanel, RowPanel } from '@grafana/schema';
import type * as Stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as StateTimeline from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as TimeSeries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

/** The same as JSON has it: of an enum its values. */
type Json<T> = T extends string
  ? `${T}`
  : T extends number
    ? `${T}` extends `${infer N extends number}` ? N : number
    : T extends boolean | null | undefined
      ? T
      : T extends (infer U)[]
        ? Json<U>[]
        : T extends object
          ? { [K in keyof T]: Json<T[K]> }
          : unknown;

/** A query of Grafana's Prometheus data source, which publishes no types of its own. */
interface Query {
  refId: string;
  datasource: DataSourceRef;
  editorMode: 'code';
  expr: string;
  legendFormat: string;
  range: true;
}

/** `FieldConfig` is generic over `custom`, but lets anything in besides. */
type Defaults<Custom> = Omit<NonNullable<AnyPanel['fieldConfig']>['defaults'], 'custom'> & { custom: Custom };

type Of<Type extends string, Options, Custom> = Omit<AnyPanel, 'type' | 'options' | 'fieldConfig' | 'targets'> & {
  type: Type;
  title: string;
  description: string;
  gridPos: NonNullable<AnyPanel['gridPos']>;
  options: Options;
  targets: Query[];
  fieldConfig: { defaults: Defaults<Custom>; overrides: [] };
};

type Panel =
  | Of<'timeseries', TimeSeries.Options, TimeSeries.FieldConfig>
  | Of<'stat', Stat.Options, Record<string, never>>
  | Of<'state-timeline', StateTimeline.Options, StateTimeline.FieldConfig>;

export type Dashboard = Json<
  Omit<AnyDashboard, 'panels'> & { uid: string; title: string; panels: (Panel | (Omit<RowPanel, 'panels'> & { panels: [] }))[] }
>;
