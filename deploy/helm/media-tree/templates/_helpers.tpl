{{/* Labels that never change: what workloads select by, and what Prometheus finds pods by. */}}
{{- define "media-tree.selector" -}}
app.kubernetes.io/name: media-tree
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "media-tree.labels" -}}
{{ include "media-tree.selector" . }}
app.kubernetes.io/part-of: media-tree
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
media-tree/tree-id: {{ .root.Values.treeId }}
{{- end }}

{{/* Of names 63 characters are left, and a StatefulSet adds a number to its own. */}}
{{- define "media-tree.name" -}}
{{ printf "%s-%s" (.root.Release.Name | trunc 40 | trimSuffix "-") .component }}
{{- end }}

{{- define "media-tree.image" -}}
{{ .root.Values.image.registry }}/{{ .name }}:{{ .root.Values.image.tag }}
{{- end }}

{{/* Which node of which tree. A relay is called like its machine, the others like their pods. */}}
{{- define "media-tree.identity" -}}
- name: NODE_ID
  valueFrom: {fieldRef: {fieldPath: {{ if eq .component "relay" }}spec.nodeName{{ else }}metadata.name{{ end }}}}
- name: TREE_ID
  value: {{ .root.Values.treeId | quote }}
{{ include "media-tree.redis" . }}
{{- end }}

{{/* What every node is told. */}}
{{- define "media-tree.env" -}}
{{ include "media-tree.identity" . }}
- name: NODE_IP
  valueFrom: {fieldRef: {fieldPath: status.hostIP}}
- name: NODE_HOST
  value: $(NODE_IP)
- name: API_TOKEN
  valueFrom: {secretKeyRef: {name: {{ .root.Values.existingSecret }}, key: api-token}}
- name: LOG_FORMAT
  value: json
{{- end }}

{{- define "media-tree.redis" -}}
- name: REDIS_URL
  value: {{ .root.Values.redis.url | quote }}
{{- with .root.Values.redis.existingSecret }}
- name: REDIS_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ . }}, key: redis-password}}
{{- end }}
{{- end }}

{{- define "media-tree.settings" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* Alive, and able to do its job: a node that drains, or that no media reaches, is not ready. */}}
{{- define "media-tree.probes" -}}
startupProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 2, failureThreshold: 60}
livenessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6}
readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 2, timeoutSeconds: 2, failureThreshold: 2}
{{- end }}

{{/* A program without any rights. */}}
{{- define "media-tree.unprivileged" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  runAsUser: 65534
  runAsGroup: 65534
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* Beside a node, from before it starts until after it has ended: puts it into the tree and, unless it stays there, takes it out. */}}
{{- define "media-tree.place" -}}
- name: place
  image: {{ include "media-tree.image" (dict "root" .root "name" "relay") }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  restartPolicy: Always
  command: [/bin/sh, -c]
  args:
    - |
      out() {
          {{- if .stays }}
          exit 0
          {{- else }}
          relay-ctl tree detach "$NODE_ID"
          exit 0
          {{- end }}
      }
      trap out TERM
      while :; do
          relay-ctl tree attach "$NODE_ID" --wait || echo "place: once more in 5 s"
          sleep 5 &
          wait $!
      done
  env:
    {{- include "media-tree.identity" . | nindent 4 }}
  resources: {requests: {cpu: 10m, memory: 16Mi}}
  {{- include "media-tree.unprivileged" . | nindent 2 }}
{{- end }}

{{/* Before the node starts and until after it has ended, so that a drain has somebody to serve viewers by. */}}
{{- define "media-tree.janus" -}}
- name: janus
  image: {{ include "media-tree.image" (dict "root" .root "name" "janus") }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  restartPolicy: Always
  env:
    - name: JANUS_API_SECRET
      valueFrom: {secretKeyRef: {name: {{ .root.Values.existingSecret }}, key: janus-api-secret}}
    - name: JANUS_ADMIN_KEY
      valueFrom: {secretKeyRef: {name: {{ .root.Values.existingSecret }}, key: janus-admin-key}}
    # The machine's network is the pod's: nobody else is to reach it.
    - name: JANUS_LISTEN
      value: 127.0.0.1
    - name: JANUS_INTERFACE
      value: {{ .values.interface | quote }}
  ports:
    - {name: janus, containerPort: 8188, protocol: TCP}
  startupProbe: {exec: {command: [health, "8088", /janus/info]}, periodSeconds: 2, failureThreshold: 60}
  resources: {{ toJson .values.janusResources }}
  {{- include "media-tree.unprivileged" . | nindent 2 }}
  volumeMounts:
    - {name: tmp, mountPath: /tmp}
{{- end }}
