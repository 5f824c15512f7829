
recorded’
5type.googleapis.com/istio.networking.nds.v1.NameTableØ
I
db.app.svc.cluster.local-

10.244.0.2

10.244.0.3
Kubernetesdb"app
?
grpc.app.svc.cluster.local!
10.0.1.3
Kubernetesgrpc"app
S
$kubernetes.default.svc.cluster.local+
10.0.0.1
Kubernetes
kubernetes"default
C
legacy.app.svc.cluster.local#
10.0.1.4
Kuberneteslegacy"app
E
reviews.app.svc.cluster.local$
10.0.1.2
Kubernetesreviews"app
*
store.example.com
	192.0.2.9External
=
web.app.svc.cluster.local 
10.0.1.1
Kubernetesweb"app"5type.googleapis.com/istio.networking.nds.v1.NameTable