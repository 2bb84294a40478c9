{{/* What the three kinds of pods have in common: they are on their machine's own network. */}}
{{- define "media-tree.podHead" -}}
hostNetwork: true
dnsPolicy: ClusterFirstWithHostNet
automountServiceAccountToken: false
enableServiceLinks: false
nodeSelector: {{ toJson .values.nodeSelector }}
tolerations: {{ toJson .values.tolerations }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
{{- end }}

{{/* An egress, as its StatefulSet and the scaling controller make it. `place`: it finds its own place in the tree. */}}
{{- define "media-tree.egressPod" -}}
{{- $values := .root.Values.egress }}
{{- $all := dict "root" .root "component" "egress" "values" $values }}
{{- $isJanus := eq $values.server "janus" }}
metadata:
  labels:
    {{- include "media-tree.labels" $all | nindent 4 }}
spec:
  {{- include "media-tree.podHead" $all | nindent 2 }}
  # SIGTERM drains: viewers are moved, and the pod is not ready meanwhile. What is beside it ends after it.
  terminationGracePeriodSeconds: {{ add $values.drainLimit 30 }}
  {{- if or .place $isJanus }}
  initContainers:
    {{- if $isJanus }}
    {{- include "media-tree.janus" $all | nindent 4 }}
    {{- end }}
    {{- if .place }}
    {{- include "media-tree.place" $all | nindent 4 }}
    {{- end }}
  {{- end }}
  containers:
    - name: egress
      image: {{ include "media-tree.image" (dict "root" .root "name" "egress") }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args: [--api, "0.0.0.0:7073"]
      env:
        {{- include "media-tree.env" $all | nindent 8 }}
        - name: PUBLIC_URL
          value: {{ $values.publicUrl | default "http://$(NODE_IP):7073" | quote }}
        - name: SERVER
          value: {{ $values.server }}
        - name: DRAIN_LIMIT
          value: {{ $values.drainLimit | quote }}
        {{- if $values.maxViewers }}
        - name: MAX_VIEWERS
          value: {{ $values.maxViewers | quote }}
        {{- end }}
        {{- if $isJanus }}
        - name: JANUS_ADMIN_URL
          value: ws://127.0.0.1:7188
        - name: JANUS_STREAMING_API_SECRET
          valueFrom: {secretKeyRef: {name: {{ .root.Values.existingSecret }}, key: janus-api-secret}}
        - name: JANUS_STREAMING_MOUNTPOINT_SECRET
          valueFrom: {secretKeyRef: {name: {{ .root.Values.existingSecret }}, key: janus-admin-key}}
        {{- end }}
        - name: WHEP_TOKEN
          valueFrom: {secretKeyRef: {name: {{ .root.Values.existingSecret }}, key: whep-token, optional: true}}
        # GStreamer's list of its parts.
        - name: XDG_CACHE_HOME
          value: /tmp
        {{- include "media-tree.settings" $values.settings | nindent 8 }}
      ports:
        - {name: http, containerPort: 7073, protocol: TCP}
        - {name: rtp-audio, containerPort: 5002, protocol: UDP}
        - {name: rtp-video, containerPort: 5004, protocol: UDP}
        {{- if not $isJanus }}
        - {name: media, containerPort: 7075, protocol: UDP}
        - {name: media-tcp, containerPort: 7075, protocol: TCP}
        {{- end }}
      {{- include "media-tree.probes" . | nindent 6 }}
      resources: {{ toJson $values.resources }}
      {{- include "media-tree.unprivileged" . | nindent 6 }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
  volumes:
    - {name: tmp, emptyDir: {}}
{{- end }}

{{/* A relay, as its DaemonSet and the scaling controller make it. */}}
{{- define "media-tree.relayPod" -}}
{{- $values := .root.Values.relay }}
{{- $all := dict "root" .root "component" "relay" "values" $values "stays" true }}
metadata:
  labels:
    {{- include "media-tree.labels" $all | nindent 4 }}
spec:
  {{- include "media-tree.podHead" $all | nindent 2 }}
  # Forwarding goes on in the kernel while the daemon is away: there is nothing to wait for.
  terminationGracePeriodSeconds: 10
  {{- if .place }}
  initContainers:
    {{- include "media-tree.place" $all | nindent 4 }}
  {{- end }}
  containers:
    - name: relay
      image: {{ include "media-tree.image" (dict "root" .root "name" "relay") }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      command: [relay-ctl, attach, {{ $values.interface | quote }}, --api, "0.0.0.0:7071"]
      env:
        {{- include "media-tree.env" $all | nindent 8 }}
        - name: RELAY_MODE
          value: {{ $values.mode }}
        {{- include "media-tree.settings" $values.settings | nindent 8 }}
      ports:
        - {name: http, containerPort: 7071, protocol: TCP}
        - {name: rtp-audio, containerPort: 5002, protocol: UDP}
        - {name: rtcp-audio, containerPort: 5003, protocol: UDP}
        - {name: rtp-video, containerPort: 5004, protocol: UDP}
        - {name: rtcp-video, containerPort: 5005, protocol: UDP}
      {{- include "media-tree.probes" . | nindent 6 }}
      resources: {{ toJson $values.resources }}
      # What loading and attaching programs takes, and nothing else. Root, since Kubernetes gives capabilities to nobody else.
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        runAsUser: 0
        capabilities: {drop: [ALL], add: [BPF, NET_ADMIN, PERFMON]}
        # The default profile of some runtimes refuses bpf(2) to whoever has no SYS_ADMIN.
        seccompProfile: {type: Unconfined}
      volumeMounts:
        - {name: bpf, mountPath: /sys/fs/bpf, mountPropagation: HostToContainer}
  volumes:
    # Mounted by the machine's systemd. Maps and programs are kept here while the daemon is away.
    - {name: bpf, hostPath: {path: /sys/fs/bpf, type: Directory}}
{{- end }}
