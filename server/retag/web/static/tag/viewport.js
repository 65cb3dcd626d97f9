e=>{e.e.push(({ad:e})=>{Object.assign(e,window!=top||navigator.userAgentData?.mobile?{vw:outerWidth,vh:outerHeight}:{vw:innerWidth,vh:innerHeight})})}
