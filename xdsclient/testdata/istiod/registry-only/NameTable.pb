
recorded¬
5type.googleapis.com/istio.networking.nds.v1.NameTables
E
reviews.app.svc.cluster.local$
10.0.1.2
Kubernetesreviews"app
*
store.example.com
	192.0.2.9External"5type.googleapis.com/istio.networking.nds.v1.NameTable